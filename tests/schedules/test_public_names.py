"""The names that users import: at run time, in the stubs for type checkers, and in the registry."""

import ast
import importlib
from pathlib import Path

import pytest

import preheat
import preheat.schedules
from preheat.core.registry import SCHEDULES

PACKAGES = {"preheat": preheat, "preheat.schedules": preheat.schedules}


def stub(package):
    """{name: module} of what a package's stub imports, as a checker sees it: `x as x`."""
    text = (Path(package.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body[1:]:
        assert isinstance(node, ast.ImportFrom), ast.unparse(node)
        for alias in node.names:
            if alias.name == "*":
                found |= stub(importlib.import_module(node.module))
            else:
                assert alias.asname == alias.name and alias.name not in found, ast.unparse(node)
                found[alias.name] = node.module
    return found


@pytest.mark.parametrize("name", PACKAGES)
def test_the_stub_names_what_there_is_and_where_it_is_defined(name):
    package, told = PACKAGES[name], stub(PACKAGES[name])
    assert set(told) == set(package.__all__) | set(preheat.schedules.__all__)
    for word, module in told.items():
        assert getattr(package, word) is getattr(importlib.import_module(module), word)
        assert word in dir(package)


def test_every_shipped_schedule_is_public_under_its_name():
    public = set(preheat.schedules.__all__)
    assert set(SCHEDULES.shipped()) - {"pieces"} < public
    for word, module in SCHEDULES.shipped().items():
        assert word == "pieces" or getattr(preheat.schedules, word) is SCHEDULES[word]
        assert SCHEDULES[word].__module__ == module


def test_names_that_are_not_there_are_said_not_to_be():
    for package in PACKAGES.values():
        with pytest.raises(AttributeError, match="has no attribute 'cosinus'"):
            _ = package.cosinus


def test_a_star_brings_every_public_name():
    brought: dict = {}
    exec("from preheat.schedules import *", brought)
    assert set(preheat.schedules.__all__) <= set(brought)
