"""What is installed is what is here: a wheel holds every module and every file that the package reads."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGE = HOME / "src" / "preheat"


def run(*words: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the source without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    copied = folder / "source"
    copied.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copied / name).write_bytes((HOME / name).read_bytes())
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = copied / path.relative_to(HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", str(folder), str(copied), cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def test_a_wheel_holds_every_file_of_the_package(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    here = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyi", ".html", ".css", ".js", ".typed")
    }
    assert here <= held, sorted(here - held)


def test_an_installed_wheel_writes_a_report(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    with tarfile.open(HOME / "tests" / "data" / "before.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    where = {"PYTHONPATH": str(site)}
    home = run(sys.executable, "-c", "import preheat; print(preheat.__file__)", cwd=tmp_path, **where)
    assert Path(home.strip()).is_relative_to(site)
    words = (
        sys.executable,
        "-m",
        "preheat",
        "report",
        "before",
        "--results",
        "results",
        "--chapter",
        "metric",
    )
    run(*words, cwd=tmp_path, **where)
    page = (tmp_path / "results" / "before" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page and "--series0" in page
    run(sys.executable, "-m", "preheat", "plot", "--gallery", "--out", "gallery.html", cwd=tmp_path, **where)
    assert (tmp_path / "gallery.html").stat().st_size > 50_000
