"""Points of a file: data that can only be drawn from, in disjoint parts."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import Tensor

from . import datasets
from .base import Dataset, Split
from .box import outline_of
from .errors import UsageError
from .point_files import PointTable, content_of, known_content, read_points

_PARTS: tuple[Split, ...] = get_args(Split)
# What else a column may call the parts.
_NAMES = {"train": "training", "valid": "validation", "val": "validation"}
# Fewest points of the parts: a mean needs two, and two halves of the test part need two each.
_FEWEST = {"training": 2, "validation": 2, "test": 4}
# Single precision resolves a coordinate this many times finer than its distance from 0.
_DIGITS = 2.0**24
# Fewest steps of that size within a standard deviation.
_STEPS = 1000
# Spreads that the default ranges of methods and samplers suit.
_SMALL, _LARGE = 0.05, 50.0


class Rows(Dataset):
    """Given points.

    Args:
        points: Shape (n, d), float64.
        name: Name of the points in errors.
        endless: Whether they stand for a distribution: they are drawn with replacement, any number
            of them. Otherwise a point is drawn once.
    """

    def __init__(self, points: Tensor, name: str = "the data", *, endless: bool = False) -> None:
        self.points = points
        self.dim = points.shape[1]
        self.available = None if endless else len(points)
        self.name = name

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` rows.

        Raises:
            UsageError: There are fewer.
        """
        if self.available is None:
            return self.points[torch.randint(len(self.points), (n,), generator=generator)]
        if n > self.available:
            raise UsageError(f"{self.name} has {len(self.points)} points: {n} cannot be drawn")
        return self.points[torch.randperm(len(self.points), generator=generator)[:n]]


@datasets.register("points")
class Points(Rows):
    """Points of a file (CSV, NPY, NPZ, Parquet), split into training, validation and test parts.

    Draws are from the training part; ``part`` gives the other parts. Box, lengths and
    standardisation follow from the training part alone.

    Args:
        path: The file.
        sha256: Hash of its content; another content is refused (default: any).
        columns: Names of the coordinates, in order (default: all columns).
        split: Column that says of each row which part it belongs to: training, validation or test.
        shares: Shares of the three parts, where no column splits.
        seed: Decides which rows fall into which part.
        standardise: Divide each coordinate by its standard deviation, around its mean.
        drop_missing: Leave out rows with a missing number.
        image: Height and width of the images that the points are, for figures.

    Attributes:
        points: The training part, shape (n, d).
        columns: Names of the coordinates.
        notes: What a reader should know of the data, one sentence each.

    Raises:
        UsageError: The file cannot be read, has another content, or too few points.
    """

    def __init__(
        self,
        path: str,
        *,
        sha256: str = "",
        columns: Sequence[str] = (),
        split: str = "",
        shares: Sequence[float] = (0.5, 0.2, 0.3),
        seed: int = 0,
        standardise: bool = False,
        drop_missing: bool = False,
        image: Sequence[int] = (),
    ) -> None:
        name = Path(path).name
        content = known_content(path, sha256)
        table = read_points(
            path, content, columns=_strings(columns), split=split, drop_missing=drop_missing
        )
        index = _by_column(table, split, name) if split else _by_share(table, shares, seed, name)
        _require_enough(index, name)
        points = torch.from_numpy(table.points)
        train = points[index["training"]]
        _require_squares(train, table.columns, name)
        if standardise:
            points = (points - train.mean(0)) / _spread(train)
            train = points[index["training"]]
        _require_digits(train, table.columns, name)
        super().__init__(train, f"the training part of {name}")
        self.columns = table.columns
        self.image = _shape(image, self.dim)
        self._parts: dict[Split, Dataset] = {
            part: self if part == "training" else Rows(points[index[part]], f"the {part} part")
            for part in _PARTS
        }
        self.notes = tuple(_notes(table, points, index, name))

    @staticmethod
    def settled(options: Mapping[str, Any]) -> dict[str, Any]:
        """Add the hash of the file's present content to options without one."""
        path = options.get("path")
        if options.get("sha256") or not isinstance(path, str):
            return dict(options)
        return {**options, "sha256": hashlib.sha256(content_of(path)).hexdigest()}

    def part(self, split: Split) -> Dataset:
        """Return one of the disjoint parts."""
        return self._parts[split]

    def outline(self) -> tuple[Tensor, Tensor]:
        """Find the ends of the training part."""
        return outline_of(self.points)


def _by_share(
    table: PointTable, shares: Sequence[float], seed: int, name: str
) -> dict[Split, Tensor]:
    """Deal the rows out at random."""
    share = [float(value) for value in shares]
    if len(share) != len(_PARTS) or min(share) <= 0 or not math.isclose(sum(share), 1):
        raise UsageError(
            f"shares = {list(shares)!r} of {name!r}: give three positive numbers that sum to 1, "
            "for training, validation and test, as [0.5, 0.2, 0.3]"
        )
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed = {seed!r} of {name!r}: it must be a whole number >= 0")
    order = np.random.default_rng(seed).permutation(len(table.points))
    ends = np.round(np.cumsum(share) * len(order)).astype(int)
    pieces = np.split(order, ends[:-1])
    return {
        part: torch.from_numpy(np.sort(piece)) for part, piece in zip(_PARTS, pieces, strict=True)
    }


def _by_column(table: PointTable, split: str, name: str) -> dict[Split, Tensor]:
    """Read the part of each row from the column that says it."""
    words = [str(word).strip().lower() for word in cast("Any", table.part)]
    words = [_NAMES.get(word, word) for word in words]
    for row, word in enumerate(words):
        if word not in _PARTS:
            raise UsageError(
                f"{name!r}: column {split!r} holds {word!r} in row {row + 1}: it must say "
                "training, validation or test in every row"
            )
    labels = np.array(words)
    return {part: torch.from_numpy(np.flatnonzero(labels == part)) for part in _PARTS}


def _require_enough(index: Mapping[Split, Tensor], name: str) -> None:
    sizes = {part: len(rows) for part, rows in index.items()}
    for part, size in sizes.items():
        if size < _FEWEST[part]:
            counts = ", ".join(f"{number} for {other}" for other, number in sizes.items())
            raise UsageError(
                f"{name!r} has {sum(sizes.values())} points, {counts}: {part} needs at least "
                f"{_FEWEST[part]}; give more points, or other shares"
            )


def _require_squares(train: Tensor, columns: Sequence[str], name: str) -> None:
    """Refuse coordinates whose squares double precision loses, standardised or not."""
    far, spread = train.abs().amax(0), train.amax(0) - train.amin(0)
    lost = (far > 1e150) | (~_constant(train) & (spread < 1e-150))
    for i in torch.nonzero(lost).flatten().tolist():
        raise UsageError(
            f"{name!r}: column {columns[i]!r} spreads over {float(spread[i]):.2g} and lies as far "
            f"as {float(far[i]):.2g} from 0: squares of such numbers cannot be computed; give it "
            "in another unit"
        )


def _require_digits(train: Tensor, columns: Sequence[str], name: str) -> None:
    """Refuse coordinates whose differences single precision, which networks use, would lose."""
    spread, far = _spread(train), train.abs().amax(0)
    lost = spread * _DIGITS < _STEPS * far
    lost &= ~_constant(train)
    huge = (far > 1e15) | (~_constant(train) & (spread < 1e-15))
    for i in torch.nonzero(lost | huge).flatten().tolist():
        raise UsageError(
            f"{name!r}: column {columns[i]!r} spreads by {float(spread[i]):.2g} and lies as far as "
            f"{float(far[i]):.2g} from 0, which single precision cannot resolve: give "
            "standardise = true"
        )


def _constant(points: Tensor) -> Tensor:
    return points.amax(0) == points.amin(0)


def _spread(points: Tensor) -> Tensor:
    """Standard deviation of each coordinate; 1 for constant ones."""
    spread = points.std(0)
    return spread.where(~_constant(points), 1.0)


def _notes(
    table: PointTable, points: Tensor, index: Mapping[Split, Tensor], name: str
) -> list[str]:
    """Say how many points there are, and what is odd about them."""
    train = points[index["training"]]
    n, d = points.shape
    parts = ", ".join(f"{len(rows)} for {part}" for part, rows in index.items())
    notes = [f"{name} has {n} points of {d} coordinates: {parts}"]
    if table.dropped:
        notes.append(f"rows left out for a missing or infinite number: {table.dropped}")
    constant = [table.columns[i] for i in torch.nonzero(_constant(train)).flatten().tolist()]
    if constant:
        more = ", ..." if len(constant) > 3 else ""
        notes.append(f"constant columns, which are kept: {', '.join(constant[:3])}{more}")
    kinds, kind = points.unique(dim=0, return_inverse=True)
    if len(kinds) < n:
        leaks = int(torch.isin(kind[index["test"]], kind[index["training"]]).sum())
        notes.append(
            f"rows that repeat another one: {n - len(kinds)}; test points that equal a training "
            f"point: {leaks}"
        )
    spread = _spread(train)[~_constant(train)]
    low, high = (float(spread.min()), float(spread.max())) if len(spread) else (1.0, 1.0)
    if low < _SMALL or high > _LARGE:
        notes.append(
            f"the coordinates spread by {low:.2g} to {high:.2g}, and methods expect about 1: "
            "consider standardise = true"
        )
    return notes


def _strings(columns: Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else [str(column) for column in columns]


def _shape(image: Sequence[int], dim: int) -> tuple[int, int] | None:
    if not image:
        return None
    sides = [int(side) for side in image]
    if len(sides) != 2 or sides[0] * sides[1] != dim or min(sides) < 1:
        raise UsageError(
            f"image = {list(image)!r}: give height and width, whose product is the number of "
            f"coordinates, {dim}"
        )
    return sides[0], sides[1]
