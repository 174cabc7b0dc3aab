"""The storage of a search: written from the records, which win where it differs; on a server shared."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import optuna
import pytest
from carried import trained

from preheat.core.errors import UserError
from preheat.lab.server_claims import key, server_claims
from preheat.search.declare import Searched
from preheat.search.shared import SearchStorage
from preheat.store.packed import pack, unpack
from preheat.store.server import Shelf, check_storage, hidden
from preheat.store.store import Store

TASK = {"name": "quadratic", "dim": 4}


def searched(**more):
    given = {"schedules": ("cosine", "constant"), "epochs": 8, "trials": 4, "batch": 3, "again": 1, **more}
    return Searched(TASK, optimizer={"name": "sgd"}, **given).study("lines")


@contextmanager
def exchanged(root, url="", study=None, **more):
    """After an exchange."""
    with closing(SearchStorage(study or searched(), root, url, **more)) as shared:
        shared.exchange(now=True)
        yield shared


def once(root, url="", study=None, **more):
    """An exchange."""
    with exchanged(root, url, study, **more):
        pass


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    return root, *trained(searched(), root)


@pytest.fixture
def here(done, tmp_path):
    """The records of a search in a folder of the test's own."""
    root = tmp_path / "results"
    shutil.copytree(done[0], root)
    return root


def held(root, arm="cosine"):
    url = f"sqlite:///{root / 'lines' / 'search.db'}"
    return optuna.load_study(study_name=f"lines-{arm}", storage=url)


def test_every_trial_stands_in_the_storage_once(here):
    with exchanged(here) as shared:
        shared.exchange(now=True)
    once(here)
    store = Store.open(here)
    for arm in ("cosine", "constant"):
        trials = held(here, arm).trials
        assert [t.user_attrs["preheat_trial"] for t in trials] == [0, 1, 2, 3]
        values = {h.summary["validation_loss"] for h in store.heads() if h.run_json["seed"] == 0}
        assert {t.value for t in trials} <= values
    assert held(here).best_value == min(t.value for t in held(here).trials)


def test_where_the_storage_differs_the_records_win_and_it_is_told(here):
    once(here)
    before = [t.value for t in held(here).trials]
    with sqlite3.connect(here / "lines" / "search.db") as base:
        base.execute("update trial_values set value = -1.0")
    said = []
    once(here, say=said.append)
    assert [t.value for t in held(here).trials] == before
    assert len(said) == 2 and "differs from its record" in said[0]


def test_a_study_of_another_search_is_refused_and_left_alone(here):
    other = searched(peak_lr=0.02)
    with exchanged(here), pytest.raises(UserError, match=r"'lines-cosine' of another search \(its space dif"):
        once(here, study=other)
    assert len(held(here).trials) == 4


def test_a_study_that_others_made_is_refused_and_left_alone(here):
    url = f"sqlite:///{here / 'mine.db'}"
    optuna.create_study(study_name="lines-cosine", storage=url).add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    with pytest.raises(UserError, match=r"of another search \(its origin differs\): write another --name"):
        once(here, url)
    assert optuna.load_study(study_name="lines-cosine", storage=url).best_value == 1.0


def test_a_file_that_is_no_database_is_told_and_nothing_is_lost(here):
    (here / "lines" / "search.db").write_bytes(b"no database, just text" * 100)
    with pytest.raises(
        UserError, match=r"can't be used.*file is not a database.*it is written anew from the records"
    ):
        once(here)
    assert len(Store.open(here).ids()) == 10


@pytest.mark.parametrize("url", ["mysql://here/there", "search.db", "sqlite://", "http://x"])
def test_other_storages_are_refused(url):
    with pytest.raises(UserError, match="a storage is sqlite:///FILE or postgresql://"):
        check_storage(url)


def test_a_password_is_not_told():
    assert hidden("postgresql://me:secret@here:1/there") == "postgresql://me:***@here:1/there"


def test_a_record_that_is_sent_arrives_whole_or_not_at_all(here):
    store = Store.open(here)
    record = store.load(next(iter(store.ids())))
    sent = pack(record)
    got = unpack(sent)
    assert got.run == record.run
    assert got.trace == record.trace and got.summary == record.summary and got.status == record.status
    for at in (10, len(sent) // 2, len(sent) - 3):
        damaged = bytearray(sent)
        damaged[at] ^= 8
        with pytest.raises(UserError, match="must match its checksums"):
            unpack(bytes(damaged))
    with pytest.raises(UserError):
        unpack(sent[:-4])


def test_keys_of_the_server_are_64_bits_with_a_sign():
    assert key("7fffffffffffffff") == 2**63 - 1 and key("8000000000000000") == -(2**63)
    assert key("ffffffffffffffff") == -1 and key("0000000000000001") == 1


BIN = next((p.parent for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


def as_nobody(*words):
    """The server refuses to run as root."""
    if os.getuid():
        return list(words)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A private server, as an unprivileged user, on a socket alone; its url, and what stops it."""
    if BIN is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        home = Path(folder)
        if not os.getuid():
            shutil.chown(home, "nobody", "nogroup")
        made = subprocess.run(
            as_nobody(BIN / "initdb", "-D", home / "data", "-A", "trust", "-U", "me", "--no-sync"),
            capture_output=True,
            check=False,
            cwd=home,
        )
        if made.returncode:
            pytest.skip(f"no server could be made here: {made.stderr.decode()[-200:]}")
        options = f"-k {home} -c listen_addresses='' -c fsync=off"
        control = [BIN / "pg_ctl", "-D", home / "data", "-w", "-l", home / "log"]
        start = as_nobody(*control, "-o", options, "start")
        stop = as_nobody(*control, "-m", "immediate", "stop")
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=home)
        try:
            yield f"postgresql://me@/postgres?host={home}", start, stop, home
        finally:
            subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home)


def test_machines_share_their_records_by_way_of_a_server(server, here, tmp_path):
    url, *_ = server
    other = Store.open(tmp_path / "other")
    with exchanged(here, url), exchanged(other.root, url) as second:
        assert other.ids() == Store.open(here).ids(), "what one has trained the other has, through all stages"
        study = optuna.load_study(study_name="lines-cosine", storage=second._storage)
        assert len(study.trials) == 4


def test_a_damaged_record_on_the_server_is_trained_here_and_replaced(server, here, tmp_path):
    url, *_ = server
    run = next(iter(Store.open(here).ids()))
    with exchanged(here, url), closing(Shelf(url)) as shelf:
        whole = shelf.take(run)
        shelf._open.execute("update preheat_records set record = '\\x00' where run = %s", (run,))
        said = []
        other = Store.open(tmp_path / "other")
        with exchanged(other.root, url, say=said.append) as shared:
            assert run not in other.ids() and "must match its checksums" in said[0]
            with other.writer() as writer:  # it is trained
                writer.append([whole])
            shared.exchange(now=True)
        assert shelf.take(run).summary == whole.summary


def test_a_run_is_claimed_by_one_process_of_all_machines(server, tmp_path):
    url, *_ = server
    roots = [tmp_path / name for name in "ab"]
    for root in roots:
        root.mkdir()
    mine, other = (partial(server_claims, url)(root) for root in roots)
    run = "f" * 16
    assert mine.take(run) and not other.take(run) and not other.free(run)
    mine.drop(run)
    assert other.take(run) and not mine.free(run)
    other.close()  # as when its machine is gone
    for _ in range(50):
        if mine.free(run):
            break
        time.sleep(0.1)
    assert mine.take(run)
    mine.close()


def test_a_server_that_goes_away_is_told_and_the_same_goes_on_afterwards(server, here):
    url, start, stop, home = server
    with closing(Shelf(url)) as shelf, exchanged(here, url) as shared:
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd=home)
        for ask in (lambda: shelf.names(["a"]), lambda: shared.exchange(now=True), lambda: Shelf(url)):
            with pytest.raises(UserError, match=r"can't be used.*what was trained is kept"):
                ask()
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=home)
    with exchanged(here, url), closing(Shelf(url)) as shelf:
        assert shelf.names(Store.open(here).ids()) == Store.open(here).ids()
