"""The set-up: what is installed is pinned, and what can go wrong with Python's own tools is told."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).parents[1]


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_venv", HOME / "tools" / "setup_venv.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pinned() -> dict[str, str]:
    lines = (HOME / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def needed(name: str, extras: set[str], seen: set[str]) -> None:
    """Everything that `name` with `extras` asks for on this machine and that is installed, into `seen`."""
    try:
        asked = [Requirement(text) for text in distribution(name).requires or ()]
    except PackageNotFoundError:
        return
    seen.add(canonicalize_name(name))
    for one in asked:
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})
        if wanted and canonicalize_name(one.name) not in seen:
            needed(one.name, one.extras, seen)


def test_all_that_preheat_needs_is_pinned_to_one_version() -> None:
    """Whatever pip would choose today is what it chooses next year. What was built for CUDA is pinned by
    torch itself."""
    seen: set[str] = set()
    needed("preheat", {"dev", "bench"}, seen)
    assert {"torch", "sympy", "mpmath", "pytest", "pluggy"} <= seen
    loose = {n for n in seen - {"preheat"} if not n.startswith(("nvidia-", "cuda-", "triton"))} - set(
        pinned()
    )
    assert not loose, "add these to constraints.txt"
    assert {"uv", "setuptools", "jax", "jaxlib", "ml-dtypes", "opt-einsum"} <= set(pinned()), (
        "what the set-up itself installs"
    )


def test_an_environment_without_pip_is_made_anew_on_a_path_with_spaces(
    tool: ModuleType, tmp_path: Path
) -> None:
    """It is what `python3 -m venv` leaves behind on a Debian without python3-venv."""
    venv = tmp_path / "a b é" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert tool.python_of(venv).exists() and not tool.has_pip(venv)
    assert tool.make_venv(venv) and tool.has_pip(venv) and tool.make_venv(venv)


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for a Python")
@pytest.mark.parametrize(
    ("found", "words"), [(None, ": its module ensurepip is missing."), (object(), ":\nno room\n")]
)
def test_a_python_that_can_not_make_environments_is_told(
    tool, tmp_path, monkeypatch, capsys, found, words
) -> None:
    fake = tmp_path / "my python"
    fake.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(tool, "VENV", tmp_path / ".venv")
    assert tool.main() == 1
    out = capsys.readouterr().out
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (
        f"{fake} can't make a virtual environment{words}" in out
        and f"package python{version}-venv (or python3-venv)" in out
    )


def test_pip_gets_the_pinned_versions_whatever_the_path(tool, tmp_path, monkeypatch) -> None:
    """pip splits its variables at spaces, and builds packages in environments that know of variables only."""
    calls = []
    monkeypatch.setattr(tool, "CONSTRAINTS", tmp_path / "a b" / "constraints.txt")
    monkeypatch.setenv("PIP_CONSTRAINT", "mine.txt")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **how: calls.append(how["env"]) or subprocess.CompletedProcess(command, 0),
    )
    assert tool.pip("install", "x") == 0
    own = f"{tmp_path.as_uri()}/a%20b/constraints.txt"
    assert (calls[0]["PIP_CONSTRAINT"], calls[0]["PIP_BUILD_CONSTRAINT"]) == (f"mine.txt {own}", own)


def test_what_is_ready_is_not_set_up_again_and_more_is_enough_for_less(
    tool, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(tool, "VENV", tmp_path / ".venv")
    python = tool.python_of(tool.VENV)
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(tool, "make_venv", lambda venv: print("made") or False)
    tool.stamp("dev").write_text(tool.fingerprint())
    assert (tool.main("run"), tool.main("dev"), capsys.readouterr().out) == (0, 0, "")
    assert (tool.main("bench"), tool.main("all")) == (1, 2)
    tool.stamp("dev").write_text("of an older version")
    assert tool.main("dev") == 1
    assert "what to set up is one of run, dev, bench, got 'all'" in capsys.readouterr().out
