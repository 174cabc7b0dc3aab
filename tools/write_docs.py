"""Write docs/studies.md, the keys of a study's file, from the types that are read from it.

    python tools/write_docs.py

What a key means stands once, in the docstring of its type; a test compares the file with what is written now.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import yaml

from preheat.core import lengths
from preheat.core.between import Between
from preheat.core.canon import plain
from preheat.core.grid import Block
from preheat.core.lengths import Length
from preheat.core.registry import REGISTRIES
from preheat.core.run import Run
from preheat.core.study import Study
from preheat.studyfiles.keys import Key, keys, noun

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"
EXAMPLE = """\
fixed: {task: digits, optimizer: adamw, schedule: cosine, length: 20ep}
grid:
  - product: {schedule.warmup: [0, 5ep], peak_lr: [0.01, 0.03, 0.1]}
nuisance: [peak_lr]
"""
HEAD = f"""# Files of studies

A study's file has the keys of a `Study`, in YAML, TOML or JSON. `preheat study my_study.yaml` trains and
reports it; with `--dry-run` it is checked and counted. All that is wrong with a file is told at once, with
line, value and nearest match. A small one:

```yaml
{EXAMPLE}```

A *setting* is a key of a run or an option of something named; `schedule.warmup: 5ep` and `schedule: {{warmup:
5ep}}` are one setting, whose *path* is `schedule.warmup`. A *name* is one of `preheat list`, or `{{name: ...,
option: ...}}` with options.

This page is written from the types (`make pictures`), which are those of Python: `from preheat import Study`.
"""
SECTIONS = {
    Study: ("The study", "The keys of the file."),
    Block: ("A block of the grid", "What each entry of `grid` holds."),
    Run: (
        "A run",
        "Settings of `fixed` and the grid; alone in a file they are one for `preheat run my_run.yaml`.",
    ),
    Between: ("A number that moves", "What `also` has for each number."),
}


def page() -> str:
    """The page as it is to be."""
    tables = [f"## {title}\n\n{lead}\n\n{table(of)}" for of, (title, lead) in SECTIONS.items()]
    return "\n".join([HEAD, *(f"{text}\n" for text in tables), f"## Lengths\n\n{words_of_lengths()}"])


def table(of: type) -> str:
    """The keys of a type: name, type, default, meaning and an example."""
    rows = [row(name, key) for name, key in keys(of).items()]
    return "\n".join(["| key | takes | left out | what it is | example |", "|---|---|---|---|---|", *rows])


def row(name: str, key: Key) -> str:
    """One key."""
    cells = (
        f"`{name}`",
        noun(key.hint),
        left_out(name, key),
        key.says.rstrip("."),
        f"`{name}: {key.example}`",
    )
    return f"| {' | '.join(cells)} |"


def left_out(name: str, key: Key) -> str:
    """What holds where a file does not have the key."""
    if key.left_out:
        return key.left_out.rstrip(".")
    if key.default is MISSING:
        return "must be given"
    if key.default is None and name in REGISTRIES:
        return f"`{REGISTRIES[name].default}`"
    value = str(key.default) if isinstance(key.default, Length) else plain(key.default)
    return f"`{flat(value)}`" if value not in ([], {}) else "none"


def flat(value: Any) -> str:
    """A value as a file has it, on one line."""
    return str(yaml.safe_dump(value, default_flow_style=True)).removesuffix("\n").removesuffix("\n...")


def words_of_lengths() -> str:
    """The table of the lengths' own docstring."""
    return "\n".join(length_rows(inspect.cleandoc(lengths.__doc__ or "")))


def length_rows(text: str) -> Iterator[str]:
    """What a text's paragraphs are, the one with columns as a table."""
    for part in text.split("\n\n"):
        if "   " not in part:
            yield f"{' '.join(part.split())}\n"
            continue
        lines = [re.split(r" {2,}", line.strip()) for line in part.splitlines()]
        yield from (f"| {' | '.join(cells)} |" for cells in (lines[0], ["---"] * len(lines[0]), *lines[1:]))
        yield ""


def main() -> None:
    """Write it."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name} {len(page()) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
