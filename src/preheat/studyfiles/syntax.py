"""YAML, TOML and JSON to data, with the line of every value. Nothing is ever executed.

YAML is read as YAML 1.2 reads it, because 1.1 surprises: `1e-3` is a number, `no`, `off` and `on` are texts
(only `true` and `false` are truth values), `1:30` and dates are texts, and `010` is refused because 1.1 reads
8 and 1.2 reads 10. Anchors, aliases and `<<` work; tags such as `!!python/object` are errors.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from preheat.studyfiles.faults import At, Fault

_MOST_VALUES = 100_000  # with all aliases written out


class BadSyntax(Exception):
    """The text is not YAML, TOML or JSON. args: line, message."""


@dataclass
class LineMap:
    """Filled while a document is read: the line of each place, and faults met on the way."""

    lines: dict[At, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def key(self, at: At, line: int) -> None:
        """Note a key of a mapping; a second one of that name is a fault."""
        if at in self.lines:
            self.faults.append(
                Fault(at, f"given twice (first on line {self.lines[at]}) -- keep one of them", line)
            )
        self.lines.setdefault(at, line)


# YAML
# ---------------------------------------------------------------------------------------------------------

_CONSTANTS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_CONSTANTS |= {w: True for w in ("true", "True", "TRUE")} | {w: False for w in ("false", "False", "FALSE")}
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*$")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$")
_LIMITS = re.compile(r"([-+]?)\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")


def _yaml(text: str, found: LineMap, *, sound: bool = False) -> Any:
    """sound: the text is JSON, which libyaml reads alike and 10 times as fast; its errors say less."""
    import yaml

    try:
        loader = (getattr(yaml, "CSafeLoader", yaml.SafeLoader) if sound else yaml.SafeLoader)(text)
        loader.yaml_implicit_resolvers = {}  # every plain scalar comes as text; _scalar reads it
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        raise BadSyntax(
            text.count("\n", 0, error.position) + 1, f"{error.reason} (got {chr(error.character)!r})"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = " -- indent with spaces" if "'\\t'" in str(error.problem) else ""
        hint = (
            " -- a key and its colon stand on one line, within 1,024 characters"
            if sound and "expected" in str(error.problem)
            else hint
        )
        raise BadSyntax(mark.line + 1 if mark else 1, f"{error.problem or error.context}{hint}") from error
    return None if node is None else _Yaml(found).value(node, ())


class _Yaml:
    """Walks composed nodes. A shared node is walked for each alias, so their number is limited."""

    def __init__(self, found: LineMap) -> None:
        self.found, self.count, self.open = found, 0, set[int]()

    def value(self, node: Any, at: At) -> Any:
        line = node.start_mark.line + 1
        self.found.lines.setdefault(at, line)
        self.count += 1
        if self.count > _MOST_VALUES or id(node) in self.open:
            why = (
                "an alias that contains itself"
                if id(node) in self.open
                else f"more than {_MOST_VALUES:,} values with all aliases"
            )
            raise BadSyntax(line, f"{why} -- write the values out")
        if node.tag.rpartition(":")[2] not in ("str", "seq", "map") or not node.tag.startswith(
            "tag:yaml.org"
        ):
            self.found.faults.append(
                Fault(at, f"tags are not read (got {node.tag!r}) -- write a plain value", line)
            )
            return None
        if node.id == "scalar":
            return self.scalar(node, at) if not node.style else node.value
        self.open.add(id(node))
        inside = (
            self.mapping(node, at)
            if node.id == "mapping"
            else [self.value(n, (*at, i)) for i, n in enumerate(node.value)]
        )
        self.open.discard(id(node))
        return inside

    def mapping(self, node: Any, at: At) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merges: list[Any] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                self.found.faults.append(Fault(at, "a key must be a text -- write name: value", line))
            elif key.value == "<<" and not key.style:
                merges += value.value if value.id == "sequence" else [value]
            else:
                self.found.key((*at, key.value), line)
                out[key.value] = self.value(value, (*at, key.value))
        for other in merges:
            more = self.value(other, at)
            if not isinstance(more, dict):
                self.found.faults.append(
                    Fault(at, f"<< needs a mapping (got {more!r})", other.start_mark.line + 1)
                )
            out = {**more, **out} if isinstance(more, dict) else out
        return out

    def scalar(self, node: Any, at: At) -> Any:
        text = node.value
        digits = text.lstrip("+-")
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if limit := _LIMITS.match(text):
            return float((limit[1] or "") + (limit[2] or "nan"))
        if _WHOLE.match(text) and digits[0] == "0" and len(digits) > 1:
            rule = (
                f"a leading zero means octal in YAML 1.1 and nothing in 1.2 (got {text}) -- write "
                f"{digits.lstrip('0_') or '0'}"
            )
            self.found.faults.append(Fault(at, rule, node.start_mark.line + 1))
        with suppress(ValueError):  # 1__0, or more digits than an int takes
            if _WHOLE.match(text):
                return int(text)
            if _REAL.match(text):
                return float(text)
        return text


def _json(text: str, found: LineMap) -> Any:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if not text.strip():
            return None
        raise BadSyntax(error.lineno, error.msg) from error
    except ValueError as error:
        raise BadSyntax(1, "a number has too many digits") from error
    paired = _PAIRS.sub(lambda escape: json.loads(f'"{escape[0]}"') if escape[1] else escape[0], text)
    return _yaml(paired.replace("\t", " ").translate(_RAW), found, sound=True)


_RAW = {c: f"\\u{c:04x}" for c in (0x7F, 0x85, 0x2028, 0x2029)}  # a text of JSON may hold them as they are
_PAIRS = re.compile(r"\\(?:(u[dD][89abAB]..)\\u[dD][c-fC-F]..|.)")  # that YAML would read as two characters


# TOML: the standard library reads the data; a scan of the same text, known to be right, finds the lines
# ------------------------------------------------------------------------------------------------------


def _toml(text: str, found: LineMap) -> Any:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" ?\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        if not place:
            raise BadSyntax(1, str(error)) from error
        line = int(place[1] or text.count("\n") + 1)
        raise BadSyntax(line, str(error)[: place.start()]) from error
    except ValueError as error:
        raise BadSyntax(1, "a number has too many digits") from error
    _Scan(text, found).toml()
    return data


_TOKEN = re.compile(
    r"(?P<skip>[ "
    r'\t\r]+|\#[^\n]*)|(?P<text>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<mark>[\[\]{}=:,.\n])|(?P<word>[^\s\[\]{}=:,.#\"']+)",
    re.DOTALL,
)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for token in _TOKEN.finditer(text):
        if token.lastgroup != "skip":
            yield token[0], line
        line += token[0].count("\n")
    yield "", line


class _Scan:
    """Reads a valid text for its lines alone."""

    def __init__(self, text: str, found: LineMap) -> None:
        self.tokens, self.found, self.i = list(_tokens(text)), found, 0

    def take(self, blank: bool = True) -> tuple[str, int]:
        """The next token; blank: line ends are passed over."""
        while blank and self.tokens[self.i][0] == "\n":
            self.i += 1
        self.i += 1
        return self.tokens[self.i - 1]

    def value(self, at: At) -> None:
        token, line = self.take()
        self.found.lines.setdefault(at, line)
        if token == "[":
            self._inside("]", lambda i: self.value((*at, i)))
        elif token == "{":
            self._inside("}", lambda _: self.pair(at))
        else:
            while self.tokens[self.i][0] not in (",", "]", "}", "\n", ""):
                self.i += 1

    def _inside(self, end: str, one: Callable[[int], None]) -> None:
        i = 0
        while True:
            while self.tokens[self.i][0] in ("\n", ","):
                self.i += 1
            if self.tokens[self.i][0] in (end, ""):
                self.i += 1
                return
            one(i)
            i += 1

    def pair(self, at: At) -> None:
        names, line = self.names("=")
        for name in names[:-1]:
            at = (*at, name)
            self.found.lines.setdefault(at, line)
        self.found.key((*at, names[-1]), line)
        self.value((*at, names[-1]))

    def names(self, end: str) -> tuple[list[str], int]:
        token, line = self.take()
        names = []
        while token != end:
            names += [] if token == "." else [_name(token)]
            token, _ = self.take(blank=False)
        return names, line

    def toml(self) -> None:
        last: dict[At, int] = {}
        here: At = ()
        while self.tokens[self.i][0]:
            if self.tokens[self.i][0] == "\n":
                self.i += 1
            elif self.tokens[self.i][0] == "[":
                many = self.tokens[self.i + 1][0] == "["
                self.i += 2 if many else 1
                names, line = self.names("]")
                self.i += many
                here = self._header(names, line, last, many=many)
            else:
                self.pair(here)

    def _header(self, names: list[str], line: int, last: dict[At, int], *, many: bool) -> At:
        here: At = ()
        for k, name in enumerate(names):
            here = (*here, name)
            self.found.lines.setdefault(here, line)
            if many and k == len(names) - 1:
                last[here] = last.get(here, -1) + 1
            if here in last:
                here = (*here, last[here])
                self.found.lines.setdefault(here, line)
        return here


def _name(token: str) -> str:
    try:
        return str(json.loads(token)) if token[0] == '"' else token.strip("'")
    except ValueError:  # an escape that only TOML knows
        return token.strip('"')


PARSERS: dict[str, Callable[[str, LineMap], Any]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": _toml,
    ".json": _json,
}
NAMES = {".yaml": "YAML", ".yml": "YAML", ".toml": "TOML", ".json": "JSON"}
