"""Write docs/reproduced.md from docs/reproduced/*.json, and trim a report to such a file.

    python tools/write_reproduced.py
    python tools/write_reproduced.py --from results/regimes --command "preheat study regimes"

The second form first trims the folder's summary.json (primary verdicts, published claims, n, setting,
versions, command); the records that it rests on lie beside the folder. A test compares the page with what is
written now.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preheat.analysis.results import read_index
from preheat.analysis.words import GAP, Units, capital, human, p_text
from preheat.core.errors import UserError
from preheat.core.registry import STUDIES
from preheat.core.words import count, listed
from preheat.report.chapters.published import UNTESTED
from preheat.report.report import provenance
from preheat.stats.claims import budget
from preheat.stats.estimates import Estimate
from preheat.store.blobs import read_json
from preheat.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"
MOST_BYTES = 200_000
VERSIONS = ("preheat", "torch", "python", "device")
TOLD = ("name", "question", "answer", "metric", "margin", "nuisance", "seeds", "counts", "look")
JUDGED = ("name", "primary", "verdict", "effect", "level", "p", "unit", "margin", "why")
HEAD = """\
# What was reproduced

Claims of papers, and what our runs say of them. A verdict holds in the setting that was run, which is named;
"not tested here" is no verdict. Nothing on this page was run on a GPU: what needs one is not measured yet.

This page is written by `make reproduced` from the files in `docs/reproduced/`, which are trimmed from the
`summary.json` of reports (`make reproduced FROM=results/regimes`). `docs/citations.md` has the sources.
"""


def trimmed(folder: Path, command: str = "") -> dict[str, Any]:
    """What is kept of a report. command: that trained it; left out where it is `preheat study NAME`."""
    summary = read_json(folder / "summary.json")
    _, points = read_index(read_json(folder / "study.json"))
    wanted = {run_id for _, _, run_id in points}
    heads = Store.open(folder.parent, create=False).heads()
    about = provenance([h.provenance for h in heads if h.id in wanted])
    if not command and summary["name"] not in STUDIES.names():
        raise UserError(
            f"{summary['name']!r} is no study's own name: write --command, the one that trained it"
        )
    published = summary["chapters"].get("published", {}).get("published", [])
    tested = {claim["test"] for claim in published}
    kept = [v for v in summary["verdicts"] if v["primary"] or v["name"] in tested]
    return {
        "command": command or f"preheat study {summary['name']}",
        **{key: summary[key] for key in TOLD},
        "versions": {key: about[key] for key in VERSIONS if about[key]},
        "published": published,
        "verdicts": [_short({key: v[key] for key in JUDGED}) for v in kept],
    }


def _short(value: Any) -> Any:
    """Numbers to 6 digits."""
    if isinstance(value, Mapping):
        return {k: _short(v) for k, v in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def page(folder: Path) -> str:
    """The page as it is to be, of the files in `folder`."""
    files = sorted(folder.glob("*.json"))
    for path in files:
        assert path.stat().st_size < MOST_BYTES, f"{path} has {path.stat().st_size} bytes: trim it"
    return "\n".join([HEAD, *(part(json.loads(path.read_text())) for path in files)])


def part(told: Mapping[str, Any]) -> str:
    """What stands of one report."""
    u, n = Units.of(told["metric"]), told["counts"]
    judged = {v["name"]: v for v in told["verdicts"]}
    primary = [name for name, v in judged.items() if v["primary"]]
    runs = f"{count(n['planned'], 'run')}: {n['done']:,} done, {n['diverged']:,} diverged"
    lost = f", {n['failed']:,} failed, {n['missing']:,} missing" if n["failed"] or n["missing"] else ""
    versions = ", ".join(f"{key} {value}" for key, value in told["versions"].items())
    lines = [
        f"## {told['name']}: {told['question']}",
        f"> {told['answer']}",
        f"`{told['command']}`; {runs}{lost}; seeds {listed(told['seeds'])}; {versions}.",
        "### Published claims" if told["published"] else "",
        table(
            ("claim", "stated by", "its setting", "tested here in", "n", "effect", "verdict here"),
            [_claim(c, judged.get(c["test"]), u) for c in told["published"]],
        ),
        _differences(told["published"], judged),
        "### Primary verdicts",
        f"The smallest difference in {human(told['metric'])} that matters is {u.margin(told['margin'])}. "
        f"These claims share an error budget of {100 * budget(told['look'] - 1):.2g} %; intervals "
        "and p are corrected as the verdicts are.",
        table(
            ("claim", "verdict", "effect", "p", "n"),
            [
                (f"`{k}`", word(v), effect(v, u), p_text(v["p"]), _n(v))
                for k, v in judged.items()
                if k in primary
            ],
        ),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _claim(claim: Mapping[str, Any], v: Mapping[str, Any] | None, u: Units) -> tuple[str, ...]:
    said = claim["claim"], claim["source"], claim["setting"]
    if v is None or word(v) == UNTESTED:
        return (*said, "", "", "", UNTESTED)
    where = "another setting" if claim["other"] else "the source's setting"
    return (*said, where, _n(v), effect(v, u), v["verdict"])


def _differences(published: Sequence[Mapping[str, Any]], judged: Mapping[str, Any]) -> str:
    told = [c for c in published if c["test"] in judged and word(judged[c["test"]]) != UNTESTED]
    rows = [(capital(human(p)), c["here"].get(p, "unknown"), c["there"][p]) for c in told for p in c["other"]]
    return table(("in what the settings differ", "here", "there"), list(dict.fromkeys(rows)))


def effect(v: Mapping[str, Any], u: Units) -> str:
    """An effect with the interval of its verdict."""
    e = Estimate(**v["effect"])
    if not e.n or e.mean is None:
        return ""
    return u.estimate(e, v["unit"]).replace("95 %", f"{100 * v['level']:.3g} %")


def word(v: Mapping[str, Any]) -> str:
    """A verdict; what no run tells has none."""
    return str(v["verdict"]) if v["effect"]["n"] else UNTESTED


def _n(v: Mapping[str, Any]) -> str:
    return str(v["effect"]["n"])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; nothing without rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines).replace(GAP, " ") if rows else ""


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description="Write docs/reproduced.md.")
    parser.add_argument("--from", dest="folder", type=Path, help="a report's folder, to be trimmed first")
    parser.add_argument("--command", default="", help="the command that trained it")
    asked = parser.parse_args()
    if asked.folder:
        told = trimmed(asked.folder, asked.command)
        text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        (DOCS / "reproduced").mkdir(exist_ok=True)
        (DOCS / "reproduced" / f"{told['name']}.json").write_text(text)
    (DOCS / "reproduced.md").write_text(page(DOCS / "reproduced"))


if __name__ == "__main__":
    main()
