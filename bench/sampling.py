"""Sampling a model of a dataset: chains, grids and boxes lie around the data, wherever they are."""

from collections.abc import Callable
from typing import cast

from torch import Tensor

from ..datasets.base import Dataset
from ..datasets.box import box_of
from ..methods import samplers
from ..methods.model import Model, Moved
from ..methods.random import MemberRandom
from ..methods.sampling.base import Sampler, Samples
from .spec import Plugin


class Sampling:
    """A sampler and a dataset: samples models of it, in coordinates whose origin is its centre.

    Points come back in the coordinates of the data, in double precision unless the centre is 0.
    """

    def __init__(self, dataset: Dataset, plugin: Plugin) -> None:
        self._dataset = dataset
        make = cast("Callable[..., Sampler]", samplers.get(plugin.name))
        self.sampler = make(**plugin.options)

    @property
    def starts_at_data(self) -> bool:
        """Whether chains start at points of the data."""
        # A plug-in need not derive from Sampler.
        return getattr(self.sampler, "start", None) is not None

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        """Draw ``n`` points from each member."""
        samples = self.sampler.sample(self._near(model), n, rng)
        return samples._replace(points=self._back(samples.points))

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        """Run a chain from each of the points ``start`` of the data, shape (n, d)."""
        first = (start - box_of(self._dataset).centre).float().to(model.device)[None]
        samples = self.sampler.sample_from(self._near(model), first, rng)
        return samples._replace(points=self._back(samples.points))

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor | None:
        """Return positions of ``n`` chains of each member, or None: see ``Sampler.paths``."""
        places = self.sampler.paths(self._near(model), n, rng)
        return None if places is None else self._back(places)

    def _near(self, model: Model) -> Model:
        box = box_of(self._dataset)
        stays = not box.follows and not bool(box.centre.any())
        return model if stays else Moved(model, box.centre, box.size)

    def _back(self, points: Tensor) -> Tensor:
        centre = box_of(self._dataset).centre
        return points + centre.to(points.device) if bool(centre.any()) else points


def rounded(dataset: Dataset, points: Tensor) -> Tensor:
    """Round points of the data (n, d) to the precision that sampled points have."""
    centre = box_of(dataset).centre
    return (points - centre).float() + centre if bool(centre.any()) else points.float()
