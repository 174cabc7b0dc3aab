"""What a source text registers, read without importing it."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple


class Registered(NamedTuple):
    """Where a name is registered (a module to import), its one-line description, what it is called on a page,
    and whether it is taken where no name is given."""

    module: str
    line: str
    label: str = ""
    default: bool = False


def described(docstring: str | None) -> str:
    """The first sentence of a docstring."""
    first = " ".join((docstring or "").split("\n\n")[0].split())
    found = re.match(r".*?[.?](?= [A-Z]|$)", first)
    return found[0] if found else first


def registered(source: str, variable: str, module: str) -> list[tuple[str, Registered]]:
    """(name, Registered) of every `@VARIABLE.register("name", ...)` in a source text."""
    out: list[tuple[str, Registered]] = []
    if f"@{variable}.register" not in source:
        return out
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            call = mark if isinstance(mark, ast.Call) else None
            if (
                call
                and ast.unparse(call.func) == f"{variable}.register"
                and isinstance(call.args[0], ast.Constant)
            ):
                line = described(ast.get_docstring(node))
                said = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                out.append((str(call.args[0].value), Registered(module, line, **said)))
    return out
