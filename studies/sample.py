"""Points from a model that a study stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError
from .engine import Engine
from .rundir.read import read_study
from .winners import pick_cells


def sample(
    directory: str | Path,
    method: str,
    dataset: str,
    sampler: str | None = None,
    *,
    n: int = 10_000,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Draw points from the best confirmed model of a cell, with the sampler it was scored with.

    Args:
        directory: A run directory.
        method: Label of the method.
        dataset: Label of the dataset.
        sampler: Label of the sampler; needed where there are several.
        n: Number of points.
        seed: Of the sampler's noise; equal seeds give equal points.

    Returns:
        Points, shape (n, d); chains that left every bound are NaN.

    Raises:
        UsageError: It is not a run directory, a label is unknown, or there is no stored model.
    """
    if n < 1:
        raise UsageError(f"n = {n}: at least 1 point is drawn")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed = {seed}: it has to be from 0 to 2⁶³ - 1")
    path = Path(directory)
    study = read_study(path)
    cells = pick_cells(study, method, dataset, sampler)
    if len(cells) > 1:
        known = ", ".join(cell.sampler for cell in cells)
        raise UsageError(f"there are several samplers: say which by --sampler ({known})")
    Engine().equip(study.plugins)
    spec, parameters = _stored(path / "models" / f"{cells[0].stem}.safetensors", path)
    from ..bench.streams import generator

    return _draw(spec, parameters, n, generator(seed, "points", cells[0].stem))


def _stored(file: Path, directory: Path) -> tuple[RunSpec, dict[str, Any]]:
    from safetensors import safe_open

    try:
        with safe_open(file, "pt") as stored:
            about = json.loads(stored.metadata()["run"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UsageError(
            f"{str(directory)!r} holds no model for this yet (there is no models/{file.name})"
        ) from error
    except Exception as error:
        raise UsageError(f"{str(file)!r} is damaged: {error}") from error
    return RunSpec.model_validate(about["spec"]), tensors


def _draw(spec: RunSpec, parameters: dict[str, Any], n: int, noise: Any) -> npt.NDArray[np.float32]:
    from ..bench.from_spec import architecture, dataset_of, target_of
    from ..bench.process import one_thread
    from ..methods import samplers
    from ..methods.network_model import NetworkModel
    from ..methods.random import MemberRandom

    with one_thread():
        mlp = architecture(spec, dataset_of(spec).dim)
        model = NetworkModel(mlp, mlp.pack(parameters), target_of(spec))
        made = samplers.get(spec.sampler.name)(**spec.sampler.options)
        points = made.sample(model, n, MemberRandom([noise])).points[0]
    return np.asarray(points.numpy(), dtype=np.float32)
