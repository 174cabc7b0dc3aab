"""From a study's results to everything that its report says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from preheat.analysis.answer import Found, answer, preliminary
from preheat.analysis.curves import Drawn, Load, curves
from preheat.analysis.edges import edges, pooled
from preheat.analysis.effects import best_sets, cells, effects
from preheat.analysis.findings import Counts, Findings
from preheat.analysis.inside_edge import insides
from preheat.analysis.notes import counts, notes, unmeasured
from preheat.analysis.results import Results
from preheat.analysis.table import DONE, Table, names, number, tabulate
from preheat.analysis.words import last_part
from preheat.studies.regimes.first_epochs import milestones
from preheat.studies.regimes.hypotheses import hypotheses
from preheat.studies.regimes.protocols import chose_on_test, gaps, optimism
from preheat.studies.regimes.protocols import notes as protocol_notes
from preheat.studies.regimes.rules import rules
from preheat.studies.regimes.surface import honest
from preheat.studies.regimes.updates import updates


def analyse(results: Results, load: Load | None = None) -> Findings:
    """The findings of a study. load: reads one record with its trace, by run id; without it there are no
    curves.

    Cells, curves and protocols are of every panel, all claims of the `honest` ones.
    """
    if not results.rows:
        return _nothing(results)
    table = tabulate(results)
    if (lacking := unmeasured(table)) and not (table.state == DONE).any():
        return Findings(
            **_head(results, table),
            answer=" ".join((*lacking, *preliminary(table))),
            counts=counts(table),
            runs=tuple(flat_runs(results)),
            notes=(*results.study.notes, *lacking),
        )
    fair = honest(table)
    found = Found(cells(table), effects(fair), pooled(fair), edges(fair), insides(fair))
    drawn = curves(results, table, load) if load else Drawn()
    pairs = gaps(table, drawn.readings)
    said = notes(table, found.cells, found.edges, unread=drawn.unread)
    return Findings(
        **_head(results, table),
        answer=answer(table, found, tested=chose_on_test(table, drawn.readings)),
        counts=counts(table),
        cells=found.cells,
        effects=found.effects,
        best=best_sets(fair),
        edges=found.edges,
        pooled=found.pooled,
        inside=found.insides,
        hypotheses=hypotheses(fair),
        rules=rules(fair),
        curves=drawn.measured,
        rates=drawn.rates,
        updates=updates(table),
        optimism=optimism(table, drawn.readings),
        gaps=pairs,
        early=drawn.early,
        milestones=milestones(drawn.early),
        runs=tuple(flat_runs(results)),
        notes=(*results.study.notes, *protocol_notes(table, drawn.readings, pairs), *said),
    )


def _head(results: Results, table: Table | None) -> dict[str, Any]:
    study = results.study
    seeds = study.seeds if table is None else table.seeds
    return {
        "name": study.name,
        "question": study.question,
        "metric": study.metric,
        "goal": study.goal,
        "margin": study.margin,
        "treatment": study.treatment,
        "condition": study.condition,
        "nuisance": ", ".join(study.nuisance),
        "treatments": table.treatments.labels if table else (),
        "conditions": table.conditions.labels if table and study.condition else (),
        "panels": table.panels.labels if table else (),
        "choosing": tuple(seeds[: study.choosing]),
        "judging": tuple(seeds[study.choosing :]),
    }


def _nothing(results: Results) -> Findings:
    text = "The study has no runs, so nothing can be said."
    return Findings(**_head(results, None), answer=text, counts=Counts(0, 0, 0, 0, 0), notes=(text,))


def flat_runs(results: Results) -> list[Mapping[str, Any]]:
    """One flat mapping for each run in the study's order: its axes, seed, outcome and metrics.

    An axis is named by the last telling part of its path where that is unique; its value is a number or a
    label.
    """
    study, rows = results.study, results.rows
    last = [last_part(path) for path in study.axes]
    columns = {
        path: end if last.count(end) == 1 else path for path, end in zip(study.axes, last, strict=True)
    }
    labels = {path: names([r.axes.get(path) for r in rows]) for path in study.axes}
    metrics = (f"validation_{study.metric}", f"test_{study.metric}", "train_loss")
    return [
        {
            **{
                name: r.axes[path] if number(r.axes.get(path)) else labels[path][i]
                for path, name in columns.items()
            },
            "seed": r.seed,
            "outcome": r.outcome,
            "diverged_step": r.diverged,
            **{name: r.summary.get(name) for name in metrics},
            "id": r.run_id,
        }
        for i, r in enumerate(rows)
    ]
