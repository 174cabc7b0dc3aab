"""A search's storage: Optuna studies for the dashboard and others, and on a server the records themselves.

Records are the truth. What the storage holds is written from them; where it differs, it is written anew and
the log says so. On a PostgreSQL server machines also share their records: each takes over what the others
have trained, so all of them ask for the same trials, and a run is trained by one of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.analysis.results import Row, collect, read_index
from preheat.analysis.stages import staged
from preheat.core.canon import digest, plain
from preheat.core.errors import UserError, explain
from preheat.core.record import Record
from preheat.core.spec import as_spec, build
from preheat.core.study import Point, Study
from preheat.core.words import listed
from preheat.search.arms import STAGE, Arm, arms, searching
from preheat.search.distributions import distributions, encoded, optuna
from preheat.search.replay import STATES, TrialEnd, played
from preheat.search.stage import Search
from preheat.search.trials import VALIDATION, Seen, by_epoch, choosing, from_row, trials
from preheat.store.blobs import read_json
from preheat.store.server import Shelf, check_storage, hidden, is_server, reached, sqlalchemy_url
from preheat.store.store import Store

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.trial import FrozenTrial

EVERY = 2.0  # seconds between two exchanges
NUMBER, IDENTITY = "preheat_trial", "preheat"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class SearchStorage:
    """The storage of a search. url: "" for a SQLite file in the study's folder; claims: how processes claim
    runs where machines share them; say: is told what is noted."""

    def __init__(
        self,
        study: Study,
        root: Path,
        url: str = "",
        *,
        claims: Callable[[Path], Any] | None = None,
        say: Callable[[str], None] = _say,
    ) -> None:
        self._study, self._root, self._say = study, root, say
        self.url = url or f"sqlite:///{(root / study.name / 'search.db').absolute()}"
        check_storage(self.url)
        self.claims = claims
        self._storage: Any = None
        self._shelf: Shelf | None = None
        self._last = 0.0
        self._damaged = set[str]()
        self._curves: dict[str, tuple[float, ...]] = {}

    def exchange(self, *, now: bool = False) -> None:
        """Take over the records that others have, and write what is here. now: also where that was done a
        moment ago."""
        if not now and time.monotonic() - self._last < EVERY:
            return
        points = self.points()
        if is_server(self.url):
            points = self._share(points)
        with self._shelf.alone() if self._shelf else _alone(self.url), reached(self.url):
            self._mirror(points)
        self._last = time.monotonic()

    def close(self) -> None:
        """Close what is open."""
        if self._shelf is not None:
            self._shelf.close()
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()
        self._shelf = self._storage = None

    def points(self) -> Sequence[Point]:
        """Every run that the search asks for as far as its records tell."""
        return staged(self._study, self._study.points(), self._root).points

    def _share(self, points: Sequence[Point]) -> Sequence[Point]:
        """Records of others come here, and ours go there; the points that follow from them."""
        if self._shelf is None:
            self._shelf = Shelf(self.url)
        store = Store.open(self._root)
        while True:
            mine, asked = store.ids(("done", "diverged")), {p.run.id for p in points}
            new = self._shelf.names(asked - mine) - self._damaged
            found = [record for run in sorted(new) if (record := self._taken(self._shelf, run))]
            if not found:
                break
            with store.writer() as writer:
                writer.append(found)
            points = self.points()
        held = self._shelf.names(asked & mine) - self._damaged
        for run in sorted((asked & mine) - held):
            self._shelf.put(store.load(run))
        self._damaged -= asked & mine
        return points

    def _taken(self, shelf: Shelf, run: str) -> Record | None:
        """A record of another machine; None where it is damaged there, which is told once."""
        try:
            return shelf.take(run)
        except UserError as error:
            self._damaged.add(run)
            self._say(f"  note: run {run} on the server: {error}")
            return None

    def _mirror(self, points: Sequence[Point]) -> None:
        """Every trial that is over stands in the storage."""
        for arm, ended in self._trials(points):
            study = self._opened(arm)
            held = {t.user_attrs.get(NUMBER): t for t in study.get_trials(deepcopy=False)}
            wanted = {k: self._trial(arm, k, one) for k, one in enumerate(ended) if one.state != "running"}
            wrong = [k for k, one in wanted.items() if k in held and not _same(held[k], one)]
            if wrong:
                self._say(
                    f"  note: trial {wrong[0]} of {study.study_name} in the storage differs from its record: "
                    "the study is written there anew"
                )
                optuna().delete_study(study_name=study.study_name, storage=self._storage)
                study, held = self._opened(arm), {}
            study.add_trials([one for k, one in wanted.items() if k not in held])

    def _opened(self, arm: Arm) -> OptunaStudy:
        """The arm's Optuna study. Errors: UserError where it is of something else."""
        if self._storage is None:
            self._storage = _storage(self.url)
        name = f"{self._study.name}-{arm.name}"
        direction = "minimize" if self._study.goal == "min" else "maximize"
        study: OptunaStudy = optuna().create_study(
            study_name=name, storage=self._storage, direction=direction, load_if_exists=True
        )
        mine, said = self._identity(arm), study.user_attrs.get(IDENTITY)
        if said is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(IDENTITY, mine)
        elif said != mine:
            other = [k for k in mine if (said or {}).get(k) != mine[k]] if said else ["origin"]
            verb = "differs" if len(other) == 1 else "differ"
            raise UserError(
                f"the storage {hidden(self.url)} has a study {name!r} of another search (its "
                f"{listed(other)} {verb}): write another --name, or another --storage"
            )
        return study

    def _identity(self, arm: Arm) -> dict[str, str]:
        """What two searches must share to be one."""
        study = self._study
        runs = {"fixed": study.fixed, "arm": arm.settings}
        told = {"task": study.fixed["task"], "settings": runs, "space": arm.json()["space"]}
        return {name: digest(plain(one)) for name, one in told.items()} | {"metric": study.metric}

    def _trial(self, arm: Arm, number: int, one: TrialEnd) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        return create_trial(
            state=TrialState[STATES[one.state]],
            value=one.value,
            params=encoded(arm.space, one.params),
            distributions=distributions(arm.space),
            user_attrs={NUMBER: number, **({"diverged": True} if one.lost else {})},
            intermediate_values=dict(enumerate(one.curve, start=1)) if len(one.curve) > 1 else {},
        )

    def _trials(self, points: Sequence[Point]) -> list[tuple[Arm, tuple[TrialEnd, ...]]]:
        """The trials of each arm as the records tell them."""
        study, store = self._study, Store.open(self._root)
        said = searching(study)
        assert said is not None, "a storage is of a study that searches"
        stage: Search = build("stage", said)
        mine = [p for p in points if p.seed in choosing(study)]
        rows = collect(study, [(p.axes, p.seed, p.run.id) for p in mine], store.heads()).rows
        given = [self._given(row, store, stage) for row in rows if row.outcome != "missing"]
        out = []
        for arm in arms(stage.spaces):
            own = [p for p in mine if arm.has(p.axes, study.fixed)]
            tried = trials(arm, [p.axes for p in own], given, study=study)
            out.append((arm, played(arm, stage.rules(study, own), tried).trials))
        return out

    def _given(self, row: Row, store: Store, stage: Search) -> Seen:
        """What a run gave, with its values by epoch where a pruner looks at them."""
        one, name = from_row(row, self._study.metric), f"{VALIDATION}{self._study.metric}"
        if not stage.pruner or row.outcome != "done":
            return one
        if row.run_id not in self._curves:
            self._curves[row.run_id] = by_epoch(store.load(row.run_id), name)
        return one._replace(curve=self._curves[row.run_id] or one.curve)


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """One process at a time writes a SQLite storage, where the system has locks."""
    path = Path(f"{url.removeprefix('sqlite:///')}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise explain("keep the storage of a search", path.parent, error) from error
    with file:
        with suppress(ImportError, OSError):  # a system or a file system without locks
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def storage_of(study: Study, root: Path, url: str, *, claims: Callable[[Path], Any] | None) -> SearchStorage:
    """The storage of a study. Errors: UserError where it does not search."""
    if searching(study) is None:
        raise UserError(
            f"--storage is of a study with the stage {STAGE!r}, study {study.name!r} has none: leave it out"
        )
    return SearchStorage(study, root, url, claims=claims)


def going_on(study: Study, root: Path, *, say: Callable[[str], None] = _say) -> Study:
    """The search as it goes on in its folder: with the batch with which it began, without which its trials
    would be others.

    Errors: UserError where the folder holds another search.
    """
    index = root / study.name / "study.json"
    if not index.exists():
        return study
    before, _ = read_index(read_json(index))
    old, new = searching(before), searching(study)
    if old is None or new is None or digest(plain(before.fixed)) != digest(plain(study.fixed)):
        raise UserError(
            f"{index.parent} holds another study (its runs are of other settings): write another --name"
        )
    known = {arm.name: arm.json() for arm in arms(old.options["spaces"])}
    for arm in arms(new.options["spaces"]):
        if plain(known.get(arm.name, arm.json())) != plain(arm.json()):
            raise UserError(
                f"{index.parent} holds a search of {arm.name!r} with another space: write another --name"
            )
    kept: dict[str, Any] = {}
    batch, had = (old.options.get(name) for name in ("batch", "trials"))
    if batch not in (None, new.options.get("batch")):
        say(f"  note: this search began with --batch {batch} and goes on with it")
        kept["batch"] = batch
    if had is not None and had > new.options.get("trials", had):
        say(f"  note: this search has --trials {had}, and trials are not taken back")
        kept["trials"] = had
    stages = [as_spec(s, "stage") for s in study.stages]
    said = tuple({"name": s.name, **s.options, **(kept if s.name == STAGE else {})} for s in stages)
    return replace(study, stages=said) if kept else study


def _same(held: FrozenTrial, one: FrozenTrial) -> bool:
    return held.state == one.state and held.params == one.params and held.values == one.values


def _storage(url: str) -> Any:
    """Optuna's storage at a URL."""
    try:
        return optuna().storages.RDBStorage(sqlalchemy_url(url))
    except RuntimeError as error:  # a schema of another version of Optuna
        line = " ".join(str(error).split())
        raise UserError(f"the storage {hidden(url)} can't be used: {line}") from error
