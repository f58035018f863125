"""Where the data are: the cube that figures show, chains start in and quadrature rules cover."""

import math
from functools import lru_cache
from typing import NamedTuple, Protocol, cast, overload

import torch
from torch import Tensor

from .errors import UsageError

DEFAULT = 4.0
"""Half the side of the box around the origin, for data that fit into it."""

_PROBE = 4000
_SEED = 19_410_117
# The default box is kept for data with at least this share of every coordinate inside.
_INSIDE = 0.95
# Quadrature over the default box sees data up to this multiple, and this many ``noise``, away.
_SLACK, _BLURS = 1.05, 7.0
# Data in a smaller box than this are invisible in the default one.
_SMALL = DEFAULT / 16
# In a larger box, cells of a quarter of a unit would be too many.
_LARGE = 128 * DEFAULT
# Tails beyond this multiple of the central 99 % of a coordinate do not widen the box.
_TAILS = 1.5
# A box that was measured on random points misses part of the tails: quadrature reaches further.
_BEYOND = 1.5


class Located(Protocol):
    """The part of a ``Dataset`` that says where its data are."""

    dim: int
    extent: float
    noise: float

    @property
    def centre(self) -> Tensor:
        """Middle of the box, shape (d,)."""

    def __hash__(self) -> int:
        """Identity of the dataset."""

    def upto(self, n: int, generator: torch.Generator) -> Tensor:
        """Independent points, shape (n, dim), or all that there are if these are fewer."""

    def outline(self) -> tuple[Tensor, Tensor]:
        """Lower and upper ends of the data, two tensors of shape (d,)."""


class Box(NamedTuple):
    """A cube that holds nearly all of the data.

    Attributes:
        centre: Its middle, shape (d,).
        extent: Half its side.
        follows: Whether the box was found from the data: they do not fit into the default box, and
            their author states none.
    """

    centre: Tensor
    extent: float
    follows: bool

    @property
    def reach(self) -> float:
        """Half the side of a cube that quadrature must cover, before the data are blurred."""
        return _BEYOND * self.extent if self.follows else self.extent

    @property
    def size(self) -> float:
        """Factor for lengths that suit data of ordinary size: 1 unless these are far from it."""
        return 1.0 if _SMALL <= self.extent <= _LARGE else self.scale

    @property
    def scale(self) -> float:
        """Size of the box, in default boxes."""
        return self.extent / DEFAULT

    @property
    def unit(self) -> float:
        """Cells of a density with edges have a quarter of this side."""
        return self.scale if self.follows else self.size


class Followed:
    """An attribute of a dataset that follows the data, unless a class or an object states it."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember the name of the attribute."""
        self._name = name

    @overload
    def __get__(self, dataset: None, owner: type) -> "Followed": ...
    @overload
    def __get__(self, dataset: Located, owner: type) -> object: ...
    def __get__(self, dataset: Located | None, owner: type) -> object:
        """Return the part of ``box_of``."""
        return self if dataset is None else getattr(box_of(dataset), self._name)


def box_of(dataset: Located) -> Box:
    """Find the box of a dataset: as stated, the default around the origin, or from its points.

    Raises:
        UsageError: The stated ``centre`` or ``extent`` is not a place or a length, or no point
            of the dataset is finite.
    """
    extent, centre = _stated(dataset, "extent"), _stated(dataset, "centre")
    if extent is None and centre is None:
        return _found(dataset)
    middle = _middle(dataset, 0.0 if centre is None else centre)
    if extent is None:
        low, high = dataset.outline()
        half = _rounded(float(torch.maximum(high - middle, middle - low).max()))
    else:
        half = _length(dataset, extent)
    return Box(middle, half, follows=False)


@lru_cache(maxsize=256)
def _found(dataset: Located) -> Box:
    low, high = dataset.outline()
    half = _rounded(float((high - low).max()) / 2)
    inside = (probe(dataset).abs() <= DEFAULT).double().mean(0)
    covered = _SLACK * DEFAULT + _BLURS * dataset.noise
    # Quadrature must not miss a rare mode.
    missed = dataset.dim == 2 and bool((torch.maximum(high, -low) > covered).any())
    if bool((inside >= _INSIDE).all()) and half >= _SMALL and not missed:
        return Box(_middle(dataset, 0.0), DEFAULT, follows=False)
    # Round numbers, so that edges of cells meet edges of the data.
    step = _digit(half) / 4
    centre = ((low + high) / 2 / step).round() * step
    return Box(centre, half, follows=True)


def outline_of(points: Tensor) -> tuple[Tensor, Tensor]:
    """Find the ends of each coordinate of points (n, d), without far tails: two tensors (d,)."""
    low, high = points.quantile(torch.tensor([0.005, 0.995], dtype=points.dtype), dim=0)
    slack = (_TAILS - 1) / 2 * (high - low)
    least, most = points.amin(0), points.amax(0)
    return torch.maximum(least, low - slack), torch.minimum(most, high + slack)


def probe(dataset: Located) -> Tensor:
    """Draw 4000 points of the dataset, always the same, and keep the finite ones: (n, d).

    Raises:
        UsageError: None is finite.
    """
    points = dataset.upto(_PROBE, torch.Generator().manual_seed(_SEED)).double()
    finite = points[points.isfinite().all(1)]
    if len(finite) == 0:
        raise UsageError(f"{type(dataset).__name__} draws no finite points: correct `draw`")
    return finite


def _stated(dataset: Located, name: str) -> object:
    """The value that the dataset or its class gives an attribute; None if it follows the data."""
    if name in vars(dataset):
        return cast("object", vars(dataset)[name])
    value: object = getattr(type(dataset), name)
    return None if isinstance(value, Followed) else cast("object", getattr(dataset, name))


def _middle(dataset: Located, centre: object) -> Tensor:
    try:
        place = torch.as_tensor(centre, dtype=torch.float64).expand(dataset.dim)
    except (TypeError, ValueError, RuntimeError):
        place = torch.tensor([math.nan])
    if not bool(place.isfinite().all()):
        raise UsageError(
            f"centre = {centre!r} of {type(dataset).__name__}: it must be {dataset.dim} finite "
            "numbers, or one for all coordinates"
        )
    return place


def _length(dataset: Located, extent: object) -> float:
    length = float(extent) if isinstance(extent, int | float) else math.nan
    if not 0 < length < math.inf:
        raise UsageError(
            f"extent = {extent!r} of {type(dataset).__name__}: it must be a finite number > 0, "
            "half the side of a box that holds the data"
        )
    return length


def _rounded(half: float) -> float:
    """The next number of two digits; 1 for data of a single point."""
    if not 0 < half < math.inf:
        return 1.0
    return float(f"{math.ceil(half / _digit(half) - 1e-6) * _digit(half):.1e}")


def _digit(length: float) -> float:
    """The second digit of a number."""
    return 10.0 ** (math.floor(math.log10(length)) - 1)
