"""The form of a study's file (pydantic), made of the core's own types, and what is wrong with a value, in
words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import ErrorDetails

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import PATTERN, Length, length
from preheat.core.registry import OPTIMIZERS, REGISTRIES, SCHEDULES, TASKS
from preheat.core.run import Precision, Run
from preheat.core.spec import as_spec, build
from preheat.core.study import Study
from preheat.studyfiles.faults import At, Fault, rule, show, worded

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_LENGTH: dict[str, Any] = {
    "description": "500 (steps), '5ep' (epochs), '5%' or 0.05 (of the run)",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": f"^{PATTERN}$"},
        {"type": "object", "maxProperties": 1, "minProperties": 1},
    ],
}
MOST_RUNS = 1_000_000


def some(value: Any) -> Length:
    """The length that was written. Errors: UserError."""
    try:
        return length(value)
    except UserError:
        raise UserError(
            f"must be a length (got {show(value)}) -- write 500 (steps), 5ep (epochs) or 5% (of the run)"
        ) from None


def _span(value: Any) -> Any:
    """The length of a run: steps or epochs above 0."""
    one = some(value)
    if one.unit == "fraction" or not one:
        raise UserError(f"must be a number of steps or epochs above 0 (got {value!r}) -- write 50ep or 700")
    return value


def _distance(value: Any) -> Any:
    if not some(value):
        raise UserError(f"must be above 0 (got {value!r}) -- write 5% or 1ep")
    return value


def _seeds(value: Any) -> Any:
    """A number of seeds, or different whole numbers >= 0."""
    whole = [type(v) is int and v >= 0 for v in (value if isinstance(value, list) else [value])]
    if not all(whole) or not whole or value == 0:
        raise UserError(
            f"must be how many seeds or a list of whole numbers >= 0 (got {show(value)}) -- write 5 or [0, "
            "1, 2, 3, 4]"
        )
    if isinstance(value, list) and len(set(value)) < len(value):
        raise UserError(f"must be different numbers (got {show(value)}) -- write each seed once")
    if isinstance(value, int) and value > MOST_RUNS:
        raise UserError(f"must be at most {MOST_RUNS:,} (got {value})")
    return value


def _chapter(value: Any) -> Any:
    """A chapter that is installed, with options that it has."""
    build("chapter", as_spec(value, "chapter"))
    return value


Whole = Annotated[Any, AfterValidator(_span), WithJsonSchema(_LENGTH)]
Distance = Annotated[Any, AfterValidator(_distance), WithJsonSchema(_LENGTH)]
Seeds = Annotated[Any, AfterValidator(_seeds), WithJsonSchema({"type": ["integer", "array"]})]
Moves = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
Name = Annotated[str, Field(pattern=r"^[\w-]+$")]
Positive = Annotated[float, Field(gt=0)]
Task = Annotated[Any, WithJsonSchema({"named": "task"})]
Optimizer = Annotated[Any, WithJsonSchema({"named": "optimizer"})]
Schedule = Annotated[Any, WithJsonSchema({"named": "schedule"})]
Probe = Annotated[Any, WithJsonSchema({"named": "probe"})]
Chapter = Annotated[Any, AfterValidator(_chapter), WithJsonSchema({"named": "chapter"})]
Lists = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": {"type": ["array", "object"]}})
]
_RUN: dict[str, tuple[Any, str]] = {
    "task": (Task, "what is learnt: a name, or {name: ..., option: ...}"),
    "optimizer": (Optimizer, "a name, or {name: ..., option: ...}"),
    "schedule": (Schedule, "a name, or {name: ..., warmup: 5ep, ...}"),
    "peak_lr": (Positive, "the highest learning rate"),
    "length": (Whole, "of the run: 700 (steps) or 50ep (epochs)"),
    "batch_size": (Annotated[int, Field(ge=1)], "examples per update"),
    "precision": (Precision, "of the state; bf16: the loss alone, under autocast"),
    "clip_norm": (Positive | None, "the largest global gradient norm let through"),
    "evaluate": (Distance, "the distance between evaluations"),
    "probes": (list[Probe], "what is measured on the way"),
    "also": (Moves, "numbers of the optimizer that move: {momentum: {schedule, at_zero, at_peak}}"),
}
_BLOCK: dict[str, tuple[Any, str]] = {
    "product": (Lists, "path: [values], such as schedule.warmup: [0, 5ep]"),
    "zip": (Lists, "path: [values], all of one length, taken row by row"),
    "points": (list[dict[str, Any]], "settings written one by one"),
    "fixed": (dict[str, Any], "settings of the whole block"),
    "where": (Lists, "keep a combination only if each path has one of these values"),
    "exclude": (list[dict[str, Any]], "drop a combination that matches all paths of one of these"),
}


def _form(of: type, about: str, said: Mapping[str, tuple[Any, str]], **instead: Any) -> type[BaseModel]:
    """The form of a core type. said: {field: (its type in a file, what it is)}; instead: defaults that are
    not the type's own; a field whose default is ... must be given."""
    own = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(of)}
    own = {name: str(value) if isinstance(value, Length) else value for name, value in own.items()}
    own = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
    made = {n: (kind, Field(instead.get(n, own[n]), description=text)) for n, (kind, text) in said.items()}
    return create_model(f"{of.__name__}Form", __config__=_STRICT, __doc__=about, **made)  # type: ignore[call-overload,no-any-return]


_NAMED = {"task": TASKS.default, "optimizer": OPTIMIZERS.default, "schedule": SCHEDULES.default}
RunForm = _form(Run, "The fields of a run, but for its seed.", _RUN, **_NAMED)
BlockForm: Any = _form(Block, "Each combination of product, with rows of zip and with each point.", _BLOCK)
_STUDY: dict[str, tuple[Any, str]] = {
    "name": (Name, "letters, digits, - and _; the file's name if left out"),
    "question": (str, "in words"),
    "fixed": (RunForm, "settings of every run"),
    "grid": (Annotated[list[BlockForm], Field(min_length=1)], "blocks of varied settings"),
    "scientific": (list[str], "paths the question is about; if left out, all varied but the nuisance ones"),
    "nuisance": (list[str], "paths chosen well before comparing, such as peak_lr"),
    "seeds": (Seeds, "how many, or a list"),
    "choosing": (Annotated[int, Field(ge=0)], "how many seeds choose the nuisances; the others are reported"),
    "treatment": (str, "the scientific path whose values are compared; schedule.warmup if varied"),
    "condition": (str, "the scientific path that the effect may depend on"),
    "baseline": (Any, "the treatment's value to compare with; its first if left out"),
    "metric": (Annotated[str, Field(min_length=1)], "chosen and reported by"),
    "goal": (Literal["max", "min"], "the metric's own if left out"),
    "margin": (Positive, "the smallest difference of the metric that matters"),
    "parts": (dict[str, Lists], "named smaller versions: {name: {path: [values kept]}}"),
    "notes": (list[str], "what a reader of the report must be told"),
    "chapters": (list[Chapter], "what the report holds, in order: names, or {name: ..., option: ...}"),
    "claims": (dict[str, Any], "what the report may call sure"),
}
StudyForm = _form(
    Study,
    "A study: a question, and every run that answers it.",
    _STUDY,
    **{"name": "", "question": "", "fixed": {}, "grid": ..., "scientific": [], "seeds": 5},
    **{"treatment": "", "goal": "max"},
)


RUN_FIELDS = tuple(RunForm.model_fields)


def study_schema() -> dict[str, Any]:
    """The JSON schema of a study's file, with the names that are registered now."""
    schema = _filled(StudyForm.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _filled(node: Any) -> Any:
    if isinstance(node, list):
        return [_filled(n) for n in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("named"), str):
        name = {"type": "string", "enum": REGISTRIES[node["named"]].names()}
        rest = {k: v for k, v in node.items() if k != "named"}
        return {**rest, "anyOf": [name, {"type": "object", "properties": {"name": name}}]}
    return {k: _filled(v) for k, v in node.items()}


# What is wrong, in words
# -------------------------------------------------------------------------------------------

_WORDS = {
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be keys with values",
    "model_type": "must be keys with values",
    "finite_number": "must be finite",
    "too_short": "needs at least one entry",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be letters, digits, - and _",
}
_EXAMPLES = {"grid": "[{product: {schedule.warmup: [0, 5ep]}}]"}
_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def shape_faults(data: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with a study's keys and plain values; `fixed` and the insides of blocks are looked at
    elsewhere."""
    rest = {k: v for k, v in data.items() if k != "fixed"}
    try:
        StudyForm.model_validate(rest)
    except ValidationError as error:
        return [Fault(tuple(e["loc"]), sentence(e)) for e in error.errors(include_url=False)]
    return []


def field_faults(name: str, value: Any, at: At) -> list[Fault]:
    """What is wrong with a plain field of a run."""
    try:
        RunForm.model_validate({name: value})
    except ValidationError as error:
        return [Fault((*at, *e["loc"][1:]), sentence(e)) for e in error.errors(include_url=False)]
    return []


def sentence(error: ErrorDetails) -> str:
    """What pydantic found, in words."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = BlockForm.model_fields if error["loc"][0] == "grid" else StudyForm.model_fields
        return rule("unknown key", error["loc"][-1], choices=known)
    if kind == "missing":
        key = str(error["loc"][-1])
        return f"is needed and missing -- write {key}: {_EXAMPLES.get(key, '...')}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        return rule(
            f"must be {' or '.join(choices)}", value, choices=choices if isinstance(value, str) else None
        )
    if kind == "value_error":
        return worded(context["error"])
    bound = {
        "greater_than": f"> {context.get('gt', 0):g}",
        "greater_than_equal": f">= {context.get('ge', 0):g}",
    }.get(kind)
    return rule(f"must be {bound}" if bound else _WORDS.get(kind, error["msg"]), value) + _instead(
        kind, value
    )


def _instead(kind: str, value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if kind == "bool_type" and value.lower() in _TRUTHS:
        return f" -- write {_TRUTHS[value.lower()]}"
    if kind in ("float_type", "int_type"):
        try:
            number = float(value)
        except ValueError:
            return ""
        return (
            f" -- write {number:g} without quotes" if math.isfinite(number) else " -- write a finite number"
        )
    return ""
