"""The results of a study: every planned run with what came of it, and none of its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from preheat.core.errors import UserError
from preheat.core.registry import STUDIES
from preheat.core.study import Study
from preheat.store.segment import Head

Outcome = Literal["done", "diverged", "failed", "missing"]
Index = Sequence[tuple[Mapping[str, Any], int, str]]


@dataclass(frozen=True)
class Row:
    """One planned run: its place in the study and what came of it. missing: there is no record of it."""

    run_id: str
    axes: Mapping[str, Any]
    seed: int
    outcome: Outcome
    diverged: int | None
    summary: Mapping[str, float | None]


@dataclass(frozen=True)
class Results:
    """A study and one row for each of its runs, in the study's order."""

    study: Study
    rows: tuple[Row, ...]


def collect(study: Study, index: Index, heads: Iterable[Head]) -> Results:
    """The rows of `index` ((axes, seed, run id) of every planned run) with what `heads` say of them."""
    wanted = {run_id for _, _, run_id in index}
    known = {h.id: h for h in heads if h.id in wanted}
    return Results(
        study, tuple(_row(dict(axes), seed, run_id, known.get(run_id)) for axes, seed, run_id in index)
    )


def _row(axes: dict[str, Any], seed: int, run_id: str, head: Head | None) -> Row:
    if head is None:
        return Row(run_id, axes, seed, "missing", None, {})
    step = head.status.step if head.status.outcome == "diverged" else None
    return Row(run_id, axes, seed, head.status.outcome, step, dict(head.summary))


def read_index(data: Any) -> tuple[Study, list[tuple[dict[str, Any], int, str]]]:
    """The study and its index from the data that `core.study.index_json` made."""
    try:
        study = Study.from_json(_allowed(data["study"]))
        study = study if "chapters" in data["study"] else _adopted(study)
        return study, [(dict(p["axes"]), int(p["seed"]), str(p["run"])) for p in data["points"]]
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"study.json must hold a study and its points, this one does not ({type(error).__name__}: "
            f"{error}): run the study's command again, which writes it anew and trains nothing twice"
        ) from error


def _allowed(said: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration without what earlier versions let pass and had no use for."""
    new = dict(said)
    if new.get("condition") == new.get("treatment"):
        new.pop("condition", None)
    claims = new.pop("claims", {})
    kept = {"primary": claims["primary"]} if "primary" in claims else {}
    aside = claims.get("aside")
    if isinstance(aside, Mapping):
        kept["aside"] = {path: some for path, some in aside.items() if isinstance(some, list)}
    return {**new, "claims": kept} if kept else new


def _adopted(study: Study) -> Study:
    """A declaration from before there were chapters with those of the study it is of; the one that it is
    named after is asked first."""
    for name in sorted(STUDIES.names(), key=lambda n: not f"{study.name}-".startswith(f"{n}-")):
        with suppress(Exception):  # a study that can't be loaded has no say in another
            adopt = getattr(STUDIES[name], "adopt", None)
            if adopt and (found := adopt(study)) is not None:
                return cast(Study, found)
    return study
