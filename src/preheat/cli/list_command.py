"""Show what is registered, one line each: tasks, schedules, optimizers, probes and studies."""

from __future__ import annotations

import argparse

from preheat.cli.export_command import formats
from preheat.cli.options import imports, read_imports
from preheat.core.errors import unknown
from preheat.core.registry import EXPORTERS, MODELS, REGISTRIES

EXAMPLES = """examples:
  preheat list
  preheat list schedules
  preheat list tasks --import my_tasks.py
"""


def plural(kind: str) -> str:
    """The heading of a kind."""
    return "studies" if kind == "study" else f"{kind}s"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "kind",
        nargs="?",
        metavar="KIND",
        help=f"one of {', '.join(plural(k) for k in REGISTRIES)} (default: all)",
    )
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Print the registries. Nothing that is shipped is imported."""
    read_imports(args.imports)
    kinds = {plural(k): r for k, r in REGISTRIES.items()}
    wanted = args.kind if args.kind is None or args.kind in kinds else plural(args.kind)
    if wanted is not None and wanted not in kinds:
        raise unknown("kind", args.kind, kinds)
    for heading, registry in kinds.items():
        lines = formats() if registry is EXPORTERS else registry.describe()
        if wanted == heading or (wanted is None and lines):
            width = max(map(len, lines), default=0)
            print(f"{heading}:")
            for name, line in lines.items():
                print(f"  {name:<{width}}  {line}")
            if heading == plural(MODELS.kind):
                print("  (a task may have models of its own beside these: preheat run TASK --help)")
