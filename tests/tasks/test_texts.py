"""Tasks on text: where the bytes come from, windows, tokens, metrics, laws, and what is refused."""

from __future__ import annotations

import builtins
import io
import math
import os
import zipfile
from dataclasses import replace
from hashlib import md5, sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from trainings import OPTIONS, a_run, bitwise, finish, same_trace

from preheat.cli import main as cli
from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.engine import checkpoint
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.lab.origins import same_data
from preheat.tasks import corpora
from preheat.tasks.sets import TEXTS, WIKITEXT2

TINY = {"context": 3, "model": {"depth": 1, "width": 4, "heads": 2}}
WORDS = "the cat sat on the mat = the = \n the <unk> sat and the mat sat \n"


def task(name="source_text", **options):
    return build("task", spec(name, **{**TINY, **options}))


def own(path: Path, text: str | bytes, **options):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return task("own_text", text_file=str(path), **options)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """An empty data folder, and an address that leads nowhere."""
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(TEXTS, "wikitext2", replace(WIKITEXT2, url=f"http://127.0.0.1:1/{WIKITEXT2.file}"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


PARTS = {"train": WORDS * 40, "valid": WORDS * 2, "test": WORDS * 3}


def packed(**changes: bytes | None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for part, text in ({n: t.encode() for n, t in PARTS.items()} | changes).items():
            if text is not None:
                file.writestr(f"wikitext-2/wiki.{part}.tokens", text)
    return out.getvalue()


# --- what is read


def test_pythons_own_source_is_its_files_one_after_the_other():
    text = corpora.python_source()
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    assert len(text) == 2_000_000 and text.startswith(files[0].read_bytes() + files[1].read_bytes())
    assert task().origin() == {"data": f"Python's own source sha256 {sha256(text).hexdigest()}"}
    assert task(corpus_bytes=999).origin() == task().origin() and task().at_hand
    assert [len(part) for part in task(corpus_bytes=1000).text()] == [900, 50, 50]
    assert b"".join(task(corpus_bytes=1001).text()) == text[:1001]


def test_windows_do_not_overlap_and_y_follows_x(tmp_path):
    made = own(tmp_path / "a.txt", bytes(range(100)) + bytes(range(100)))
    train, validation, test = made.data()
    assert (made.examples, *made.evaluated) == (45, 2, 2)
    assert train["x"][:2].tolist() == [[0, 1, 2], [4, 5, 6]] and train["x"].dtype == torch.uint8
    assert torch.equal(train["y"], train["x"] + 1) and train["x"][-1].tolist() == [76, 77, 78]
    assert validation["x"].tolist() == [[80, 81, 82], [84, 85, 86]] and test["y"][1].tolist() == [95, 96, 97]
    assert made.origin() == {"data": f"a.txt sha256 {sha256((tmp_path / 'a.txt').read_bytes()).hexdigest()}"}


def test_a_changed_file_is_read_again(tmp_path):
    made = own(tmp_path / "a.txt", "a" * 100)
    before = made.origin()
    (tmp_path / "a.txt").write_text("b" * 200)
    assert made.examples == 45 and made.origin() != before


def test_wikitext_is_fetched_and_checked(data, tmp_path, monkeypatch, capfd):
    served = tmp_path / "served"
    served.mkdir()
    (served / WIKITEXT2.file).write_bytes(packed())

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{WIKITEXT2.file}"
        right = replace(WIKITEXT2, url=url, md5=md5(packed()).hexdigest())
        monkeypatch.setitem(TEXTS, "wikitext2", replace(right, md5="0" * 32))
        with pytest.raises(UserError, match="is not the official file and was removed"):
            task("wikitext2").ready()
        monkeypatch.setitem(TEXTS, "wikitext2", right)
        made = task("wikitext2")
        assert made.lengths() == (10_797_148, 1_121_681, 1_256_449) and not list(data.glob("*.zip"))
        made.ready(fetch=False)
        assert cli.main(["data", "wikitext2"]) == 0
        server.shutdown()
    assert (
        "official: 10,797,148 training, 1,121,681 validation, 1,256,449 test bytes" in capfd.readouterr().out
    )
    assert made.text() == tuple(PARTS[n].encode() for n in ("train", "valid", "test"))
    assert made.origin() == {"data": f"wikitext-2-v1.zip md5 {right.md5}"} and not made.at_hand


def test_local_files_are_a_zip_or_its_folder(data, capsys):
    made = task("wikitext2", source="local")
    (data / WIKITEXT2.file).write_bytes(packed())
    assert made.origin() == {"data": f"wikitext-2-v1.zip md5 {md5(packed()).hexdigest()}"} and made.at_hand
    whole = [t.tolist() for part in made.data() for t in part.values()]
    assert cli.main(["data"]) == 0
    assert f"for source=local: {len(PARTS['train']):,} training" in capsys.readouterr().out
    (data / WIKITEXT2.file).unlink()
    (data / "wikitext-2").mkdir()
    for part, text in PARTS.items():
        (data / "wikitext-2" / f"wiki.{part}.tokens").write_text(text)
    assert [t.tolist() for part in made.data() for t in part.values()] == whole


# --- tokens and metrics


def test_byte_pairs_are_learnt_from_the_training_part(tmp_path):
    made = own(tmp_path / "a.txt", WORDS * 40 + "zebra é " * 30, vocabulary=300)
    train, _, test = made.tokens()
    table = corpora.byte_pairs(made.text()[0], 300)
    words = [table.id_to_token(i) for i in train[:11]]
    assert words == ["the", "cat", "sat", "on", "the", "mat", "=", "the", "=", "the", "<unk>"]
    assert train.dtype == np.int16 and table.get_vocab_size() <= 300 and test.max() < 300
    digest = sha256(table.to_str().encode()).hexdigest()
    assert made.origin()["tokens"] == f"byte pairs sha256 {digest}" and len(made.origin()) == 2
    assert made.examples == len(train) // 4
    corpora.byte_pairs.cache_clear()
    assert corpora.byte_pairs(made.text()[0], 300).to_str() == table.to_str()


def test_metrics_are_means_over_tokens(tmp_path):
    made = own(tmp_path / "a.txt", WORDS * 10)
    params, buffers = made.init(generator(0, "init"))
    batch = made.data().train
    logits, _ = made.net(params, buffers, batch["x"])
    chances = logits.detach().double().softmax(-1).gather(-1, batch["y"].long()[..., None])
    loss = -float(chances.log().mean())
    assert float(made.loss(params, buffers, batch)[0]) == pytest.approx(loss, rel=1e-5)
    halves = [{n: t[part] for n, t in batch.items()} for part in (slice(30), slice(30, None))]
    sums = [made.statistics(params, buffers, half) for half in halves]
    found = made.metrics({n: sums[0][n] + sums[1][n] for n in sums[0]})
    right = (logits.argmax(-1) == batch["y"]).double().mean()
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(found["bits_per_byte"]) == pytest.approx(loss / math.log(2), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(float(right), rel=1e-5)
    assert made.chance() == {"loss": math.log(256), "accuracy": 1 / 256}
    assert set(own(tmp_path / "a.txt", WORDS * 40, vocabulary=300).metrics(sums[0])) == {"loss", "accuracy"}


# --- laws


def text_run(**changes):
    run = {"task": OPTIONS["source_text"], "optimizer": "adamw", "schedule": "constant", "length": "6"}
    return a_run(**{**run, "peak_lr": 0.01, "batch_size": 16, **changes})


def test_a_resumed_run_is_the_unbroken_one():
    run = text_run(probes=[spec("sharpness", every=4, products=6), "critical_sharpness"])
    setup, _, (whole,) = finish([run], single())
    halfway = next(now for now in train(setup) if now.step == 3)
    saved = checkpoint.dump(setup, halfway)
    assert bitwise(finish([run], single(), lambda again: checkpoint.load(again, saved))[2][0], whole)
    same_trace(whole, finish([run, run.but(seed=1)], fleet())[2][0])


def test_sharpness_is_the_largest_eigenvalue_of_the_dense_hessian():
    run = text_run(
        task=spec("own_text", text_file=__file__, context=3, model={"depth": 1, "width": 2, "heads": 1}),
        probes=[spec("sharpness", every=5, products=40, examples=16)],
        length="1",
    )
    setup = set_up([run], single())
    state, batch = next(iter(train(setup))).state, next(setup.batches(0))
    sizes = [p.numel() for p in state.params.values()]

    def flat(vector):
        parts = zip(state.params.items(), vector.split(sizes), strict=True)
        given = {n: t.view(p.shape) for (n, p), t in parts}
        return setup.fleet.task.plain_loss(given, state.buffers, batch)

    whole = torch.cat([p.reshape(-1) for p in state.params.values()])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(flat, whole, vectorize=True))
    found = finish([run], single())[2][0].trace["sharpness"].values[0]
    assert found == pytest.approx(float(values[-1]), rel=1e-6)


def test_two_texts_never_mix_in_one_folder(tmp_path):
    path = tmp_path / "a.txt"
    made = own(path, WORDS * 100)
    words = [f"--text-file={path}", "--steps=2", "--context=3", "--set=task.model.width=4"]
    words += ["--set=task.model.heads=2", "--set=task.model.depth=1", "--set=task.model.name=gpt"]
    assert cli.main(["run", "own_text", *words, f"--results={tmp_path / 'results'}"]) == 0
    run = a_run(task=spec("own_text", text_file=str(path)))
    same_data([run], tmp_path / "results")
    path.write_text(WORDS * 101)
    with pytest.raises(UserError, match="must be of one set of data") as caught:
        same_data([run], tmp_path / "results")
    assert made.origin()["data"] in str(caught.value) and "the task's option that names them" in str(
        caught.value
    )


# --- what is refused


@pytest.mark.parametrize(
    "text,said",
    [
        (b"", "a.txt must hold text, it is empty"),
        (b"caf\xe9 au lait", "a.txt must be UTF-8 text, byte 3 (from 0) is 0xe9: convert it, for example"),
        (b"short", "the validation part of task 'own_text' must hold a window of context + 1 = 4 tokens"),
        (None, "there is no file"),
    ],
    ids=["empty", "latin1", "short", "missing"],
)
def test_a_file_that_is_no_text_is_an_error(tmp_path, text, said):
    made = own(tmp_path / "a.txt", text or b"")
    if text is None:
        (tmp_path / "a.txt").unlink()
    with pytest.raises(UserError) as caught:
        made.ready()
    assert said in str(caught.value)


def test_a_text_shorter_than_a_batch_is_an_error(tmp_path):
    own(tmp_path / "a.txt", "ab" * 50)
    with pytest.raises(UserError, match=r"number of training examples \(22\), got 32"):
        a_run(task=spec("own_text", text_file=str(tmp_path / "a.txt"), **TINY))


@pytest.mark.parametrize(
    "content,said",
    [
        (b"no zip", "must be a zip file"),
        (packed(test=None), "wiki.test.tokens is missing"),
        (packed(valid=b""), "wiki.valid.tokens must hold text, it is empty"),
        (packed(valid=b"ok \xff"), "wiki.valid.tokens must be UTF-8 text, byte 3"),
    ],
    ids=["zip", "member", "empty", "bytes"],
)
def test_local_files_of_another_format_are_an_error(data, content, said):
    (data / WIKITEXT2.file).write_bytes(content)
    with pytest.raises(UserError) as caught:
        task("wikitext2", source="local").ready()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "options,said",
    [
        ({"vocabulary": 100}, "vocabulary of task 'source_text' must be 256 (bytes) or up to 32768"),
        ({"context": 0}, "context of task 'source_text' must be at least 1, got 0"),
        ({"corpus_bytes": 3_000_000}, "corpus_bytes of task 'source_text' must be 1 to 2000000"),
        ({"name": "own_text"}, "needs a text file: write text_file=PATH"),
        ({"name": "wikitext2", "source": "offical"}, "unknown source of task 'wikitext2' 'offical'"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_options_that_are_none(options, said):
    with pytest.raises(UserError) as caught:
        task(**options)
    assert said in str(caught.value)


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    made, real = own(tmp_path / "a.txt", WORDS * 30, vocabulary=299), builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"needs the package tokenizers: pip install 'preheat\[text\]'"):
        made.ready()


def test_random_tokens_stand_in_for_files_that_are_not_there():
    made = task("wikitext2", source="random", vocabulary=300)
    assert task("wikitext2").stand_in().examples == 32_768
    assert made.origin() == {"data": "random tokens"} and made.evaluated == (64, 64) and made.ready() is None
    assert 256 < int(made.data().train["x"].max()) < 300
