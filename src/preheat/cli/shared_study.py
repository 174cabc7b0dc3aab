"""The storage of a study that searches, while a command carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from preheat.core.study import Study

if TYPE_CHECKING:
    from preheat.search.shared import SearchStorage


@contextmanager
def shared_study(study: Study, root: Path, url: str) -> Iterator[SearchStorage | None]:
    """The open storage; None for a study without a search, for which a url is an error."""
    from preheat.search.arms import searching

    if not url and searching(study) is None:
        yield None
        return
    from preheat.lab.server_claims import server_claims
    from preheat.search.shared import storage_of
    from preheat.store.server import is_server

    found = storage_of(study, root, url, claims=partial(server_claims, url) if is_server(url) else None)
    with closing(found):
        yield found


def forget_beginnings(shared: SearchStorage, root: Path) -> None:
    """A search is over: what the beginnings of its trials ended with goes."""
    from preheat.lab.beginnings import forget

    forget(root / "checkpoints", [p.run for p in shared.points()])
