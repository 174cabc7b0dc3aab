"""The JSON schema of a study's file, so that an editor completes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from preheat.core.canon import plain
from preheat.core.grid import Block
from preheat.core.lengths import PATTERN, Length
from preheat.core.registry import REGISTRIES
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.studyfiles.keys import keys

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_LENGTH = [
    {"type": "number", "minimum": 0},
    {"type": "string", "pattern": f"^{PATTERN}$"},
    {"type": "object", "maxProperties": 1, "minProperties": 1},
]


def study_schema() -> dict[str, Any]:
    """The JSON schema of a study's file, with the names that are registered now."""
    whole = _keys(Study)
    run = _keys(Run)["properties"]
    whole["properties"]["fixed"]["properties"] = {k: v for k, v in run.items() if k != "seed"}
    count = {"type": "integer", "minimum": 1}
    whole["properties"]["seeds"] = {"anyOf": [count, whole["properties"]["seeds"]]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _keys(of: type) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    for name, key in keys(of).items():
        default = {} if key.default in (MISSING, None) else {"default": plain(key.default)}
        made["properties"][name] = {"description": key.says, **default, **_value(key.hint, name)}
    needed = [name for name, key in keys(of).items() if key.default is MISSING and not key.left_out]
    return {**made, "required": needed} if needed else made


def _value(hint: Any, name: str) -> dict[str, Any]:
    """The schema of what a hint means in a file; what is registered goes by the key's name."""
    origin, inside = get_origin(hint), get_args(hint)
    kind = name.removesuffix("s")
    if origin in (tuple, Sequence):
        return {"type": "array", "items": _value(inside[0], name)}
    if kind in REGISTRIES and origin is None:
        known = {"type": "string", "enum": REGISTRIES[kind].names()}
        return {"anyOf": [known, {"type": "object", "properties": {"name": known}}]}
    if origin in (Union, UnionType):
        return {"anyOf": [_value(h, name) for h in inside]}
    if origin is Literal:
        return {"enum": list(inside)}
    if hint is Length:
        return {"anyOf": _LENGTH}
    if hint is Block:
        return _keys(Block)
    if origin is Mapping:
        return {"type": "object"}
    return {"type": _TYPES[hint]} if hint in _TYPES else {}
