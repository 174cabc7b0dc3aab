"""`preheat data`: what it shows, fetches, writes and refuses; and the commands of docs/data.md."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import pytest

from preheat.cli import main as cli
from preheat.tasks import files
from preheat.tasks.imitation import imitation
from preheat.tasks.sets import SETS, TINY_IMAGENET, every

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
SHIPPED = every()
BLOCK = re.compile(r"^<!-- test -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder; the official addresses lead nowhere."""
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(SETS, "tiny_imagenet", replace(TINY_IMAGENET, classes=2))  # 200 take seconds
    for name in SETS:
        monkeypatch.setitem(SETS, name, replace(SETS[name], url=f"http://127.0.0.1:1/{SETS[name].file}"))
    return tmp_path / "data"


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert cli.main(["data", *words]) == code
    out = capsys.readouterr()
    return out.err if code else out.out


def test_it_shows_what_there_is(data: Path, capsys, monkeypatch) -> None:
    assert said(capsys).splitlines() == [
        f"data sets in {data}:",
        "  cifar10       not there; preheat data cifar10 fetches 170 MB",
        "  cifar100      not there; preheat data cifar100 fetches 169 MB",
        "  pathmnist     not there; preheat data pathmnist fetches 206 MB",
        "  tiny_imagenet not there; preheat data tiny_imagenet fetches 248 MB",
        "  wikitext2     not there; preheat data wikitext2 fetches 4 MB",
    ]
    data.mkdir()
    for name in ("cifar10", "pathmnist"):
        file, content = imitation(name, 3)
        (data / file).write_bytes(content)
    monkeypatch.setitem(
        SETS,
        "cifar10",
        replace(SETS["cifar10"], md5=md5((data / SETS["cifar10"].file).read_bytes()).hexdigest()),
    )
    (data / "cifar-100-python").mkdir()
    lines = said(capsys).splitlines()
    assert (
        lines[1] == "  cifar10       official: 50,000 training, 10,000 test images (cifar-10-python.tar.gz)"
    )
    assert lines[2].startswith("  cifar100      not usable: ") and "train is missing" in lines[2]
    assert lines[3] == (
        "  pathmnist     not the official files, for source=local: 27 training, 90 validation, 90 test images "
        "(pathmnist.npz)"
    )
    assert said(capsys, "cifar10").splitlines() == [f"data sets in {data}:", lines[1]]


@pytest.mark.parametrize("name", SETS)
def test_imitation_writes_files_that_are_read_and_counted(name: str, data: Path, capsys) -> None:
    out = said(capsys, name, "--imitate", "--per-class", "60")
    assert (
        f"{60 * SETS[name].classes:,} training" in out and f"{12 * SETS[name].classes:,} test images" in out
    )
    assert {p.name for p in data.iterdir()} - {"decoded"} == {SETS[name].file}
    assert len(files.arrays(name, "local").train[1]) == 60 * SETS[name].classes


def test_imitation_never_replaces_a_file(data: Path, capsys) -> None:
    (data / "cifar-10-batches-py").mkdir(parents=True)
    (data / "pathmnist.npz").write_bytes(b"mine")
    for name, place in (("cifar10", "cifar-10-batches-py"), ("pathmnist", "pathmnist.npz")):
        text = said(capsys, name, "--imitate", code=2)
        assert f"imitated images never replace a file, {data / place} is there: move it away" in text
    assert (data / "pathmnist.npz").read_bytes() == b"mine" and len(list(data.iterdir())) == 2


def test_the_folder_of_the_option_is_used_and_made(tmp_path: Path, capsys) -> None:
    out = said(capsys, "pathmnist", "--imitate", "--per-class", "2", "--data", str(tmp_path / "a b" / "c"))
    assert (
        f"data sets in {tmp_path / 'a b' / 'c'}:" in out
        and (tmp_path / "a b" / "c" / "pathmnist.npz").is_file()
    )


def test_mistakes_are_told(data: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for words, message in (
        (
            ["cifar11"],
            "unknown data set 'cifar11': did you mean 'cifar10'? Known: cifar10, cifar100, pathmnist, "
            "tiny_imagenet, wikitext2",
        ),
        (["--imitate"], "--imitate needs the set to imitate: write preheat data cifar10 --imitate"),
        (["wikitext2", "--imitate"], "unknown image set 'wikitext2'"),
        (["cifar10", "--per-class", "5"], "--per-class is for imitated images: add --imitate"),
        (["cifar10", "--imitate", "--per-class", "0"], "must be a whole number above 0, got '0'"),
        (
            ["cifar100", "--imitate", "--per-class", "501"],
            "--per-class of cifar100 must be at most 500, as in CIFAR-100, got 501",
        ),
        (["--data", str(tmp_path / "file")], "--data must be a folder, got the file"),
        (["--data", ""], "must be a folder's name"),
        (
            ["cifar10"],
            f"by hand: download {SETS['cifar10'].url} (md5 {SETS['cifar10'].md5}), put it at {data}",
        ),
    ):
        assert message in said(capsys, *words, code=2)


def test_imitated_files_are_not_the_official_ones(data: Path, capsys) -> None:
    said(capsys, "pathmnist", "--imitate", "--per-class", "2")
    assert "pathmnist.npz is not the official file of PathMNIST: its md5 must be a8b06965" in said(
        capsys, "pathmnist", code=2
    )


def test_what_the_page_shows_runs(tmp_path: Path, data: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [language for language, _ in blocks] == ["bash", "bash", "python"]
    for language, block in blocks:
        if language == "python":
            exec(compile(block, PAGE.name, "exec"), {})
        else:
            assert all(cli.main(shlex.split(line)[1:]) == 0 for line in block.splitlines()), (
                capsys.readouterr()
            )
    assert {p.name for p in data.iterdir()} == {"cifar-10-python.tar.gz", "pathmnist.npz", "cifar-100-python"}


def test_the_page_names_every_file_with_its_address_and_sum() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for about in SHIPPED.values():
        assert f"| `{about.name}` | {about.file} ({about.megabytes} MB) | {about.url} | {about.md5} |" in text
