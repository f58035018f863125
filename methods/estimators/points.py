"""Points from a file, as a contestant."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...datasets.errors import UsageError
from ...datasets.point_files import content_of, read_points
from .. import methods
from .base import Any, Array, Estimator, Generator


@methods.register("points")
class PointsFile(Estimator):
    """Points from elsewhere, read from a file: scored and ranked here, made by others.

    ``path`` is a file of points (CSV, NPY, NPZ or Parquet). In it, ``{dataset}`` stands for the
    label of the dataset and ``{seed}`` for the number of the run, counted through all restarts from
    0. Without ``{seed}`` the runs share the file: each takes the next rows of it.
    """

    gives = "points"
    replayable = False

    def complaint(self, dim: int, n: int, options: Mapping[str, Any]) -> str | None:
        """Return why the file cannot be used; None if it can."""
        try:
            _rows(options, dim, n)
        except UsageError as error:
            return str(error)
        return None

    def content(self, options: Mapping[str, Any]) -> bytes:
        """Return a digest of the file; nothing if there is no file."""
        path = str(options.get("path", ""))
        try:
            return _digest(path, _stamp(path))
        except UsageError:
            return b""

    def fit(
        self,
        points: Array,
        rng: Generator,
        *,
        path: str = "",
        part: int = 0,
    ) -> Callable[[int, int], Array]:
        """Take the file; ``part`` counts the runs before that take rows of it."""
        dim = points.shape[1]
        return lambda n, _: _rows({"path": path, "part": part}, dim, n)


def _rows(options: Mapping[str, Any], dim: int, n: int) -> Array:
    """Read the points of one run, shape (n, d).

    Raises:
        UsageError: The file cannot be read, or it has other or too few points.
    """
    path, part = str(options.get("path", "")), int(options.get("part", 0))
    if not path:
        raise UsageError('it needs a file: {name = "points", path = "theirs-{dataset}-{seed}.npy"}')
    points = _read(path, _stamp(path))
    if points.shape[1] != dim:
        raise UsageError(f"{path!r} has points of dimension {points.shape[1]}, the data have {dim}")
    if len(points) < (part + 1) * n:
        runs = f" for each of {part + 1} runs" if part else ""
        raise UsageError(
            f"{path!r} has {len(points):,} points, and evaluation.samples = {n:,} are needed"
            f"{runs}: give more points, or fewer samples"
        )
    return points[part * n : (part + 1) * n]


def _stamp(path: str) -> tuple[int, int]:
    """Time and size of a file: while they are the same, it is not read again."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _read(path: str, _: tuple[int, int]) -> Array:
    return np.asarray(read_points(path).points, dtype=np.float64)


@functools.lru_cache(maxsize=1024)
def _digest(path: str, _: tuple[int, int]) -> bytes:
    return hashlib.sha256(content_of(path)).digest()
