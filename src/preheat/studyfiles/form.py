"""The form of a study's file (pydantic) and what is wrong with a value, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from preheat.core.errors import UserError
from preheat.core.lengths import PATTERN, Length, length
from preheat.core.registry import OPTIMIZERS, REGISTRIES, SCHEDULES, TASKS
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


Run_ = Annotated[Any, AfterValidator(_span), WithJsonSchema(_LENGTH)]
Distance = Annotated[Any, AfterValidator(_distance), WithJsonSchema(_LENGTH)]
Moves = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
Rate = Annotated[float, Field(gt=0)]
Task = Annotated[Any, WithJsonSchema({"named": "task"})]
Optimizer = Annotated[Any, WithJsonSchema({"named": "optimizer"})]
Schedule = Annotated[Any, WithJsonSchema({"named": "schedule"})]
Probe = Annotated[Any, WithJsonSchema({"named": "probe"})]
Lists = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": {"type": ["array", "object"]}})
]


class RunForm(BaseModel):
    """The fields of a run, but for its seed."""

    model_config = _STRICT
    task: Task = Field(
        default=TASKS.default, description="what is learnt: a name, or {name: ..., option: ...}"
    )
    optimizer: Optimizer = Field(
        default=OPTIMIZERS.default, description="a name, or {name: ..., option: ...}"
    )
    schedule: Schedule = Field(
        default=SCHEDULES.default, description="a name, or {name: ..., warmup: 5ep, ...}"
    )
    peak_lr: Rate = Field(default=1e-3, description="the highest learning rate")
    length: Run_ = Field(default="50ep", description="of the run: 700 (steps) or 50ep (epochs)")
    batch_size: int = Field(default=32, ge=1, description="examples per update")
    precision: Literal["float32", "float64"] = "float32"
    clip_norm: Rate | None = Field(default=None, description="the largest global gradient norm let through")
    evaluate: Distance = Field(default="5%", description="the distance between evaluations")
    probes: list[Probe] = Field(default=[], description="what is measured on the way")
    also: Moves = Field(
        default={}, description="numbers of the optimizer that move: {momentum: {schedule, at_zero, at_peak}}"
    )


class BlockForm(BaseModel):
    """A block of the grid: every combination of product, with the rows of zip, with each of points."""

    model_config = _STRICT
    product: Lists = Field(default={}, description="path: [values], such as schedule.warmup: [0, 5ep]")
    zip: Lists = Field(default={}, description="path: [values], all of one length, taken row by row")
    points: list[dict[str, Any]] = Field(default=[], description="settings written one by one")
    fixed: dict[str, Any] = Field(default={}, description="settings of the whole block")
    where: Lists = Field(
        default={}, description="keep a combination only if each path has one of these values"
    )
    exclude: list[dict[str, Any]] = Field(
        default=[], description="drop a combination that matches all paths of one of these"
    )


class StudyForm(BaseModel):
    """A study: a question, and every run that answers it."""

    model_config = _STRICT
    name: str = Field(
        default="", pattern=r"^[\w-]+$", description="letters, digits, - and _; the file's name if left out"
    )
    question: str = Field(default="", description="in words")
    fixed: RunForm = Field(default=RunForm(), description="settings of every run")
    grid: list[BlockForm] = Field(min_length=1, description="blocks of varied settings")
    scientific: list[str] = Field(
        [], description="paths the question is about; if left out, all varied paths but the nuisance ones"
    )
    nuisance: list[str] = Field(default=[], description="paths chosen well before comparing, such as peak_lr")
    seeds: Annotated[Any, AfterValidator(_seeds), WithJsonSchema({"type": ["integer", "array"]})] = Field(
        5, description="how many, or a list"
    )
    choosing: int = Field(
        default=0, ge=0, description="how many seeds choose the nuisances; the others are reported"
    )
    treatment: str = Field(
        default="", description="the scientific path whose values are compared; schedule.warmup if varied"
    )
    condition: str = Field(default="", description="the scientific path that the effect may depend on")
    baseline: Any = Field(
        default=None, description="the treatment's value to compare with; its first if left out"
    )
    metric: str = Field(default="accuracy", min_length=1)
    goal: Literal["max", "min"] = Field(default="max", description="the metric's own where it is left out")
    margin: Rate = Field(default=0.01, description="the smallest difference of the metric that matters")
    parts: dict[str, Lists] = Field(
        default={}, description="named smaller versions: {name: {path: [values kept]}}"
    )
    notes: list[str] = Field(default=[], description="what a reader of the report must be told")
    chapters: list[Any] = Field(
        default=[], description="what the report holds, in order: names, or {name: ..., option: ...}"
    )
    claims: dict[str, Any] = Field(default={}, description="what the report may call sure")


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
        return f"is needed and missing -- write {error['loc'][-1]}: ..."
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
            return f" -- write {float(value):g} without quotes"
        except ValueError:
            return ""
    return ""
