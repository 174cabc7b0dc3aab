"""Records of one results folder are of one set of local images.

A run says source "local", not which files: its id is the same for other images. So before a record is taken
for a run's, and before runs are trained beside records that are there, the files at hand are compared with
those that the records name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import build
from preheat.store.store import Store, exists


def same_images(runs: Sequence[Run], root: Path) -> None:
    """See to it that the local images at hand are those of the records in `root`, for each task of `runs`
    that has any.

    Where the files are gone there is nothing to compare: a study that is finished can still be reported.
    Errors: UserError, with what was trained on and what is at hand.
    """
    local = {r.task.name: r.task for r in runs if r.task.options.get("source") == "local"}
    if not local or not exists(root):
        return
    here: dict[str, Any] = {}
    for name, task in local.items():
        made = build("task", task)
        with suppress(UserError):  # no files; who needs them is told when they are asked for
            here[name] = made.origin().get("data") if hasattr(made, "origin") else None
    for head in Store.open(root, create=False).heads():
        trained, then = head.run_json["task"], head.provenance.get("data")
        now = here.get(trained["name"])
        if trained.get("source") == "local" and then and now and then != now:
            raise UserError(
                f"the records of one results folder must be of one set of local images: run {head.id} in "
                f"{root} was trained on "
                f"{then}, and the files at hand are {now}: name another folder with --results, or the former "
                "images' with --data"
            )
