"""A model that a study stored: its score, energy, density and points, in torch and in ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..methods.model import Model
    from ..methods.score_module import ScoreModule

Array = npt.NDArray[np.float32]


class StoredModel:
    """The best confirmed model of a method on a dataset, made again from its stored parameters.

    Points are arrays of any library, of shape (n, d) in the coordinates of the data; numbers come
    back as NumPy arrays in single precision.

    Attributes:
        spec: Settings of its run.
    """

    def __init__(self, spec: RunSpec, parameters: "dict[str, Tensor]", stem: str) -> None:
        self.spec = spec
        self._stem = stem
        self._model = _made(spec, parameters)

    def __repr__(self) -> str:
        return f"StoredModel({self._stem!r}, replicate {self.spec.replicate})"

    @property
    def target(self) -> float:
        """Noise level of the density whose score was learned."""
        from ..bench.from_spec import target_of

        return target_of(self.spec)

    def score(self, x: object, sigma: float = 0.0) -> Array:
        """Compute the score, shape (n, d); ``sigma`` counts if the model has several levels."""
        return self._evaluated(x, lambda model, points: model.score(points, sigma))

    def energy(self, x: object, sigma: float = 0.0) -> Array:
        """Compute the energy up to a constant, shape (n,).

        Raises:
            UsageError: The model has no energy.
        """
        return self._evaluated(x, lambda model, points: model.energy(points, sigma))

    def log_prob(self, x: object) -> Array:
        """Compute the log density, normalised on a grid around the data, shape (n,).

        Raises:
            UsageError: The data are not in the plane or have no density, which the grid is checked
                with; or the model has no energy.
        """
        from ..bench.from_spec import dataset_of
        from ..bench.metrics.density import normalise
        from ..datasets.base import density_of

        dataset = density_of(dataset_of(self.spec))
        if dataset.dim != 2:
            raise UsageError(
                f"a density needs a grid over the plane, but the data have d = {dataset.dim}"
            )
        energy = self.energy(x)
        with _quiet():
            log_z = normalise(self._model, dataset).log_z
        return np.asarray(-energy - log_z, dtype=np.float32)

    def sample(self, n: int = 10_000, seed: int = 0) -> Array:
        """Draw points with the sampler of its cell, shape (n, d); lost chains are NaN.

        Raises:
            UsageError: ``n`` or ``seed`` is out of range.
        """
        if n < 1:
            raise UsageError(f"n = {n}: must be at least 1")
        if not 0 <= seed < 2**63:
            raise UsageError(f"seed = {seed}: must be from 0 to 2⁶³ - 1")
        from ..bench.streams import generator

        return self.drawn(n, generator(seed, "points", self._stem))

    def drawn(self, n: int, noise: Any) -> Array:
        """Draw points with the random numbers of a torch generator."""
        import torch

        from ..bench.from_spec import dataset_of
        from ..bench.sampling import Sampling, rounded
        from ..methods.estimators.base import OwnPoints
        from ..methods.random import MemberRandom

        dataset = dataset_of(self.spec)
        with _quiet():
            if isinstance(self._model, OwnPoints):
                seed = int(torch.randint(2**31 - 1, (), generator=noise))
                points = rounded(dataset, self._model.draw(n, seed))
            else:
                sampling = Sampling(dataset, self.spec.sampler)
                points = sampling.sample(self._model, n, MemberRandom([noise])).points[0]
        return np.asarray(points.numpy(), dtype=np.float32)

    def torch(self) -> "ScoreModule":
        """Return the score as a ``torch.nn.Module``; its ``network`` is the network alone.

        Raises:
            UsageError: The model is no network.
        """
        from ..methods.network_model import NetworkModel
        from ..methods.score_module import ScoreModule

        if not isinstance(self._model, NetworkModel):
            raise UsageError(
                f"{self.spec.method.name} trains no network: its model has score and sample"
            )
        return ScoreModule(self._model)

    def onnx(self, path: str | Path) -> Path:
        """Write score and energy as an ONNX file; return its path.

        Raises:
            UsageError: The model is no network, the extra ``onnx`` is missing, or the file cannot
                be written.
        """
        from ..methods.score_module import onnx_of
        from .rundir.files import write_output

        write_output(Path(path), onnx_of(self.torch()))
        return Path(path)

    def _evaluated(self, x: object, function: Any) -> Array:
        import torch

        from ..datasets.point_arrays import points_of

        points = points_of(x, dim=self._model.dim, least=0).float().unsqueeze(0)
        with _quiet(), torch.no_grad():
            values = function(self._model, points)
        if values is None:
            raise UsageError(f"the model of {self._stem} is a score, which has no energy")
        return np.asarray(values[0].numpy(), dtype=np.float32)


def _made(spec: RunSpec, parameters: "dict[str, Tensor]") -> "Model":
    """Make the model of a run from its parameters; other methods than networks fit it again."""
    from ..bench.from_spec import architecture, estimator_of, model_of

    with _quiet():
        network = architecture(spec)
        own = estimator_of(spec)
        if own is not None and not own.replayable:
            raise UsageError("the points were made elsewhere, so there is no model of them")
        theta = network.pack(parameters) if own is None else network.init([])
        model = model_of(spec, network, theta)
    if model is None:
        raise UsageError(f"{spec.method.name} has no model")
    return model


def _quiet() -> Any:
    from ..bench.process import one_thread

    return one_thread()
