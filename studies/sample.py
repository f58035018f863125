"""Models that a study stored, and points of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError
from .engine import Engine
from .plan import Plan
from .progress import standing
from .rundir.read import read_rows, read_study
from .stored_model import StoredModel
from .trust import require_trust
from .winners import best_cell, confirmed, pick_cells

if TYPE_CHECKING:
    from torch import Tensor


def model_of(
    directory: str | Path, method: str, dataset: str, sampler: str | None = None
) -> StoredModel:
    """Return the best confirmed model of a cell.

    Args:
        directory: A run directory.
        method: Label of the method.
        dataset: Label of the dataset.
        sampler: Label of the sampler; required if there are several.

    Raises:
        UsageError: The directory is not a run directory, its code is not trusted, a label is
            unknown, no model is stored, or the stored model is not of a run of the study.
    """
    path = Path(directory)
    study = read_study(path)
    cells = pick_cells(study, method, dataset, sampler)
    labels = dict.fromkeys(cell.sampler for cell in cells)
    if len(labels) > 1:
        raise UsageError(
            f"the study has several samplers: choose one with --sampler ({', '.join(labels)})"
        )
    require_trust(study.code, str(directory))
    rows = standing(Plan(study, Engine()), read_rows(path))
    cell = best_cell(rows, cells, study.objective) or cells[0]
    file = path / "models" / f"{cell.stem}.safetensors"
    spec, parameters = _read_model(file, path)
    if spec.canonical() not in {row.spec for row in confirmed(rows, cell, study.objective)}:
        raise UsageError(
            f"{str(file)!r} is not of this study: no confirmation run of {cell.stem} has the "
            "settings that it states"
        )
    return StoredModel(spec, parameters, cell.stem)


def sample(
    directory: str | Path,
    method: str,
    dataset: str,
    sampler: str | None = None,
    *,
    n: int = 10_000,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Draw points from the best confirmed model of a cell, with the sampler of the cell.

    Args:
        directory: A run directory.
        method: Label of the method.
        dataset: Label of the dataset.
        sampler: Label of the sampler; required if there are several.
        n: Number of points.
        seed: Seed of the sampler's noise; equal seeds give equal points.

    Returns:
        Points, shape (n, d); points of chains that diverged are NaN.

    Raises:
        UsageError: ``n`` or ``seed`` is out of range, or as for ``model_of``.
    """
    return model_of(directory, method, dataset, sampler).sample(n, seed)


def _read_model(file: Path, directory: Path) -> tuple[RunSpec, dict[str, "Tensor"]]:
    """Read the settings and the parameters of a stored model."""
    from safetensors import safe_open

    try:
        with safe_open(file, "pt") as model:
            run = json.loads(model.metadata()["run"])
            names = model.keys()
            tensors = {name: model.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise UsageError(
            f"{str(directory)!r} holds no model of this cell yet (there is no models/{file.name})"
        ) from error
    except Exception as error:
        raise UsageError(f"{str(file)!r} is damaged: {error}") from error
    return RunSpec.model_validate(run["spec"]), tensors
