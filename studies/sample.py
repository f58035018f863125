"""Draw points from a model that a study stored."""

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
from .trust import require_trust
from .winners import best_cell, confirmed, pick_cells

if TYPE_CHECKING:
    from torch import Generator, Tensor


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
        UsageError: The directory is not a run directory, its code is not trusted, a label is
            unknown, no model is stored, or the stored model is not of a run of the study.
    """
    if n < 1:
        raise UsageError(f"n = {n}: must be at least 1")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed = {seed}: must be from 0 to 2⁶³ - 1")
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
    from ..bench.streams import generator

    return _draw(spec, parameters, n, generator(seed, "points", cell.stem))


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


def _draw(
    spec: RunSpec, parameters: dict[str, "Tensor"], n: int, noise: "Generator"
) -> npt.NDArray[np.float32]:
    from ..bench.from_spec import architecture, dataset_of, target_of
    from ..bench.process import one_thread
    from ..bench.sampling import Sampling
    from ..methods.network_model import NetworkModel
    from ..methods.random import MemberRandom

    with one_thread():
        network = architecture(spec)
        model = NetworkModel(network, network.pack(parameters), target_of(spec))
        sampling = Sampling(dataset_of(spec), spec.sampler)
        points = sampling.sample(model, n, MemberRandom([noise])).points[0]
    return np.asarray(points.numpy(), dtype=np.float32)
