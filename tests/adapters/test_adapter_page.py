"""docs/adapters.md: every block of code runs, by chapter, with the library that it shows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from documented import FENCE, run
from torch.optim import optimizer as hooks

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
FOLDED = re.compile(r"^<details>.*?^</details>$", re.MULTILINE | re.DOTALL)
LINES = 10  # of what a situation needs; the rest is folded
TWO = """
import os, signal, sys
import torch.distributed.checkpoint.state_dict, torch.distributed.fsdp, preheat.adapters.torch  # once for both
child = os.fork()
signal.alarm(100)  # neither waits longer for the other
os.environ.update(RANK=str(int(child == 0)), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[2])
exec(compile(open(sys.argv[1], encoding="utf-8").read(), "adapters.md", "exec"), {"__name__": "example"})
if child and os.waitpid(child, 0)[1]:
    sys.exit("the second process failed")
"""


class Chapter(NamedTuple):
    """A heading of the second level, and the Python below it: all, and what is not folded."""

    heading: str
    blocks: list[str]
    shown: list[str]


def blocks(text):
    return [code for language, code in FENCE.findall(text) if language == "python"]


def chapters():
    """What all share, then the chapters of the page."""
    parts = re.split(r"^## (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    made = [
        Chapter(heading, blocks(text), blocks(FOLDED.sub("", text)))
        for heading, text in zip(["", *parts[1::2]], parts[::2], strict=True)
    ]
    return blocks(parts[0]), [chapter for chapter in made[1:] if chapter.blocks]


SHARED, CHAPTERS = chapters()
ALONE = [c for c in CHAPTERS if "torch.distributed" not in "".join(c.blocks)]
TOGETHER = [c for c in CHAPTERS if c not in ALONE]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty one, no network, nothing left by an Accelerator, and torch's hooks as they were afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hooks, "_global_optimizer_pre_hooks", hooks._global_optimizer_pre_hooks.copy())
    if "accelerate" in sys.modules:
        state = sys.modules["accelerate"].state
        state.AcceleratorState._reset_state(reset_partial_state=True)
        state.GradientState._reset_state()
    return tmp_path


@pytest.mark.parametrize("chapter", ALONE, ids=[c.heading for c in ALONE])
def test_the_examples_run(chapter, folder):
    run([*SHARED, *chapter.blocks], f"adapters.md: {chapter.heading}")


def test_the_examples_for_several_processes_run_in_two(folder):
    """One process imports torch and becomes two."""
    (folder / "page.py").write_text("\n\n".join([*SHARED, *(b for c in TOGETHER for b in c.blocks)]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-W", "ignore", "-c", TWO, "page.py", str(port)]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False
    )
    assert TOGETHER and done.returncode == 0, done.stderr


def test_what_a_situation_needs_is_at_most_ten_lines():
    shown = [code for chapter in CHAPTERS for code in chapter.shown]
    assert len(shown) > 15
    assert not [code for code in shown if len(list(filter(None, code.splitlines()))) > LINES]
