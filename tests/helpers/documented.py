"""The blocks of code on a page of the documentation, run as they stand."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from importlib.util import find_spec

import pytest

from peers import timm_schedulers

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OURS = {"preheat", "numpy"}


def imported(code):
    """The libraries that a block imports."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names)


def run(texts, where):
    """One after the other, with shared names. What needs a library that is not installed is skipped."""
    needed = set().union(*map(imported, texts))
    for name in sorted(needed):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    if "timm" in needed and find_spec("torchvision") is None:
        timm_schedulers()
    names = {"__name__": "example"}
    with warnings.catch_warnings():
        if needed - OURS:
            warnings.simplefilter("ignore")  # other libraries warn as they like
        for text in texts:
            exec(compile(text, where, "exec"), names)
