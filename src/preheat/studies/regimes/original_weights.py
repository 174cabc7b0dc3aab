"""Kept weights as the checkpoints of Agrawal 2025: `checkpoints/<experiment>/best_model.pth`, a network's
`state_dict`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from pathlib import Path

from preheat.core.errors import UserError
from preheat.core.study import Study
from preheat.core.words import count
from preheat.store.blobs import write_atomic
from preheat.store.weights import Kept, weights_path
from preheat.studies.regimes.original_analyzer import in_folder


def write_best_models(study: Study, root: Path, places: Iterable[tuple[str, Path]]) -> None:
    """The best weights of each run in the folder of its experiment; one note says where there are none.

    root: the results folder. places: (the run's id, the experiment's folder of checkpoints).
    """
    kept = Kept.of("best", study.metric, study.goal)
    assert kept is not None
    every = [(weights_path(root, run_id, kept), folder) for run_id, folder in places]
    there = [(file, folder) for file, folder in every if file.is_file()]
    for file, folder in there:
        write_atomic(in_folder(folder / "best_model.pth"), _state_dict(file))
    if len(there) < len(every):
        less = count(len(every) - len(there), "experiment")
        print(
            f"note: {less} of {len(every)} without best_model.pth: no {kept} are kept; the study's command "
            "with --keep-weights best trains them",
            file=sys.stderr,
        )


def _state_dict(file: Path) -> bytes:
    """What `torch.save` makes of a safetensors file."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    out = io.BytesIO()
    try:
        torch.save(load_file(file), out)
    except SafetensorError as error:
        raise UserError(
            f"kept weights must be a whole safetensors file, and {file} is not ({error}): remove it, and "
            "train again with --keep-weights best"
        ) from error
    return out.getvalue()
