"""Artifacts of confirmation runs: samples, training curves, fields and parameters, without pickle.

The artifacts of each run are stored in ``parts/`` until its cell is finished; then they become the
files of the cell, best replicate first. Equal arrays give equal files, byte for byte. Files hold
the keys of their runs, which identify files of rows that no longer count.

    samples/CELL.npz         every replicate
        samples (n, d), replicate (n,), keys (replicates,)
    curves/CELL.npz          every replicate; see ``bench.artifacts.Learning``
        curves (replicates, points, 3): step, mean loss, mean norm of its gradient
        least (): expected loss of the exact score, NaN where it is not known; loss - least is the
            excess
        names (m,), checkpoints (replicates, c, 1 + m): step, then each metric of a small sample
        spectra (replicates, levels, 2): see ``bench.artifacts.Artifacts``; missing if not measured
        replicate (replicates,), keys (replicates,)
    fields/CELL.npz          the best replicate
        energy (g, g), score (q, q, 2), paths (points, chains, 2), extent (), centre (d,) if it is
        not 0; only the last two in other than two dimensions; arrays that the model or sampler
        does not provide are missing
    models/CELL.safetensors  the best replicate
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...datasets.errors import UsageError
from ..cell import Cell
from .arrays import Array, read_arrays, write_arrays
from .files import write_atomically
from .rows import Row

if TYPE_CHECKING:
    from ...bench.artifacts import Artifacts

PARTS = "parts"
FOLDERS = ("samples", "curves", "fields", "models")
_PARAMETER = "parameters/"
_LEARNING = "learning/"
_SPECTRUM = "spectrum"


class ArtifactFiles:
    """The artifact files of a run directory, for the process that holds its lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._cached_keys: dict[Cell, list[str]] = {}

    def holds(self, row: Row) -> bool:
        """Whether the artifacts of a confirmation run exist, in its part or the cell's files."""
        return self._part(row).exists() or row.result.key in self._keys(row.slot.cell)

    def keep(self, row: Row, artifacts: "Artifacts") -> None:
        """Store the artifacts of a confirmation run until its cell is finished."""
        arrays: dict[str, Array] = {"samples": artifacts.samples}
        fields = {
            "energy": artifacts.energy,
            "score": artifacts.score_field,
            "paths": artifacts.paths,
        }
        arrays |= {name: array for name, array in fields.items() if array is not None}
        if artifacts.spectrum is not None:
            arrays[_SPECTRUM] = artifacts.spectrum
        if artifacts.learning is not None:
            learning = artifacts.learning._asdict()
            arrays |= {_LEARNING + name: np.asarray(value) for name, value in learning.items()}
        for name, array in artifacts.parameters.items():
            arrays[_PARAMETER + name] = array
        (self.directory / PARTS).mkdir(exist_ok=True)
        write_atomically(self._part(row), write_arrays(arrays))

    def take(self, row: Row, folder: Path) -> None:
        """Move the artifacts of a confirmation run here from another folder, if they are there.

        There must be no links in it.
        """
        part, there = self._part(row), ArtifactFiles(folder)._part(row)
        if there.is_file():
            part.parent.mkdir(exist_ok=True)
            there.replace(part)

    def samples(self, row: Row) -> np.ndarray | None:
        """Read the samples of a confirmation run whose cell is not finished; None without any."""
        part = self._part(row)
        samples = read_arrays(part, {"samples": 2}).get("samples") if part.exists() else None
        numbers = samples is not None and samples.dtype in (np.float32, np.float64)
        return samples if numbers else None

    def assemble(
        self, cell: Cell, ranked: Sequence[Row], view: Mapping[str, list[float] | float]
    ) -> None:
        """Write the cell's files from its parts and from the files that it already has.

        ``ranked`` are its confirmation runs that are ok, best first; ``view`` has half the side
        and the centre of the box that the fields cover.
        """
        if ranked and self._keys(cell) != [row.result.key for row in ranked]:
            best = self._part(ranked[0])
            samples, curves, fields, model = self.finals(cell)
            for path in (samples, curves, fields, model):
                path.parent.mkdir(exist_ok=True)
            drawn = self._drawn(cell, ranked)
            # Without a part, the best run is the one whose fields and model are there already.
            if best.exists():
                part = read_arrays(best)
                write_atomically(fields, _fields(part, view))
                write_atomically(model, _model(part, ranked[0]))
            write_atomically(curves, _curves(drawn, ranked))
            # Last: its keys mark all files as complete.
            write_atomically(samples, _samples(drawn, ranked))
            self._cached_keys.pop(cell, None)
        for path in self._parts(cell):
            path.unlink()
        folder = self.directory / PARTS
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def discard(self, cell: Cell) -> None:
        """Remove the artifacts of a cell whose rows no longer count."""
        for path in (*self.finals(cell), *self._parts(cell)):
            path.unlink(missing_ok=True)
        self._cached_keys.pop(cell, None)

    def _keys(self, cell: Cell) -> list[str]:
        """Keys of the runs in the cell's files, best first; none unless all files are there."""
        if cell not in self._cached_keys:
            paths = self.finals(cell)
            keys: list[str] = []
            if all(path.exists() for path in paths):
                with suppress(OSError, UsageError, KeyError):
                    samples, curves = (read_artifact(path) for path in paths[:2])
                    members = len(curves.get("curves", samples["keys"]))
                    if len(samples["keys"]) == members == len(_distinct(samples["replicate"])):
                        keys = [str(key) for key in samples["keys"]]
            self._cached_keys[cell] = keys
        return self._cached_keys[cell]

    def _drawn(self, cell: Cell, ranked: Sequence[Row]) -> list[Mapping[str, Array]]:
        """Samples and training curves of each run, from its part or from the cell's files."""
        old: dict[str, Mapping[str, Array]] = {}
        keys = self._keys(cell)
        if any(row.result.key in keys for row in ranked):
            samples, curves = (read_artifact(path) for path in self.finals(cell)[:2])
            replicate = samples["replicate"]
            for i, (number, key) in enumerate(zip(_distinct(replicate), keys, strict=True)):
                own_samples = samples["samples"][replicate == number]
                old[key] = {"samples": own_samples} | _learning(curves, i)
        return [
            read_arrays(part) if (part := self._part(row)).exists() else old[row.result.key]
            for row in ranked
        ]

    def finals(self, cell: Cell) -> tuple[Path, Path, Path, Path]:
        """Give the paths of the samples, curves, fields and model of a finished cell."""
        return (
            self.directory / "samples" / f"{cell.stem}.npz",
            self.directory / "curves" / f"{cell.stem}.npz",
            self.directory / "fields" / f"{cell.stem}.npz",
            self.directory / "models" / f"{cell.stem}.safetensors",
        )

    def _parts(self, cell: Cell) -> list[Path]:
        """List the parts of a cell, but not those of its restarts, whose names start alike."""
        paths = (self.directory / PARTS).glob(f"{cell.stem}-*.npz")
        return [path for path in paths if path.stem.rpartition("-")[0] == cell.stem]

    def _part(self, row: Row) -> Path:
        return self.directory / PARTS / f"{row.slot.cell.stem}-{row.result.key}.npz"


# Dimensions of the arrays of each kind of file.
_DIMENSIONS = {
    "samples": {"samples": 2, "replicate": 1, "keys": 1},
    "curves": {
        "curves": 3,
        "least": 0,
        "names": 1,
        "checkpoints": 3,
        "spectra": 3,
        "replicate": 1,
        "keys": 1,
    },
    "fields": {"energy": 2, "score": 3, "paths": 3, "extent": 0},
}


def read_artifact(path: Path) -> dict[str, Array]:
    """Read the arrays of ``samples/``, ``curves/`` or ``fields/``.

    Raises:
        UsageError: The file is damaged.
        OSError: It does not exist or cannot be read.
    """
    arrays = read_arrays(path, _DIMENSIONS.get(path.parent.name))
    lengths = {len(arrays[name]) for name in ("samples", "replicate") if name in arrays}
    names, looks = arrays.get("names"), arrays.get("checkpoints")
    if path.parent.name == "samples" and len(lengths) > 1:
        raise UsageError(f"{str(path)!r} is damaged: not one replicate for each sample")
    if names is not None and looks is not None and looks.shape[2] != 1 + len(names):
        raise UsageError(f"{str(path)!r} is damaged: not one name for each metric")
    for name, last in (("score", 2), ("paths", 2), ("curves", 3), ("spectra", 2)):
        if name in arrays and arrays[name].shape[2] != last:
            shape = arrays[name].shape
            raise UsageError(f"{str(path)!r} is damaged: {name} has shape {shape}")
    extent = arrays.get("extent")
    if extent is not None and not 0 < float(extent) < math.inf:
        raise UsageError(f"{str(path)!r} is damaged: the extent is {extent}")
    return arrays


def _distinct(values: Array) -> list[int]:
    """Distinct values, in the order of their first occurrence."""
    return list(dict.fromkeys(int(value) for value in values))


def _samples(drawn: Sequence[Mapping[str, Array]], rows: Sequence[Row]) -> bytes:
    replicates = [row.slot.replicate for row in rows]
    sizes = [len(part["samples"]) for part in drawn]
    arrays = {
        "samples": np.concatenate([part["samples"] for part in drawn]),
        "replicate": np.repeat(np.asarray(replicates, dtype=np.int64), sizes),
        "keys": np.asarray([row.result.key for row in rows]),
    }
    return write_arrays(arrays)


# Arrays of each run: their names in its part and, stacked, in the file of the cell.
_STACKED = {"curve": "curves", "checkpoints": "checkpoints"}
# Arrays that are the same for all runs of a cell.
_SHARED = ("least", "names")


def _curves(drawn: Sequence[Mapping[str, Array]], rows: Sequence[Row]) -> bytes:
    arrays: dict[str, Array] = {
        "replicate": np.asarray([row.slot.replicate for row in rows], dtype=np.int64),
        "keys": np.asarray([row.result.key for row in rows]),
    }
    # A study of 0 training steps has no curves.
    if all(_LEARNING + "curve" in part for part in drawn):
        for name, stacked in _STACKED.items():
            arrays[stacked] = np.stack([part[_LEARNING + name] for part in drawn])
        arrays |= {name: drawn[0][_LEARNING + name] for name in _SHARED}
    if all(_SPECTRUM in part for part in drawn):
        arrays["spectra"] = np.stack([part[_SPECTRUM] for part in drawn])
    return write_arrays(arrays)


def _learning(curves: Mapping[str, Array], member: int) -> dict[str, Array]:
    """Take the arrays of one run out of those that ``_curves`` wrote."""
    arrays: dict[str, Array] = {}
    if "spectra" in curves:
        arrays[_SPECTRUM] = curves["spectra"][member]
    if "curves" in curves:
        arrays |= {_LEARNING + name: curves[stacked][member] for name, stacked in _STACKED.items()}
        arrays |= {_LEARNING + name: curves[name] for name in _SHARED}
    return arrays


def _fields(part: Mapping[str, Array], view: Mapping[str, list[float] | float]) -> bytes:
    fields = {name: part[name] for name in ("energy", "score", "paths") if name in part}
    return write_arrays(fields | {name: np.asarray(value) for name, value in view.items()})


def _model(part: Mapping[str, Array], row: Row) -> bytes:
    from safetensors.numpy import save

    parameters = {
        name.removeprefix(_PARAMETER): np.ascontiguousarray(array)
        for name, array in part.items()
        if name.startswith(_PARAMETER)
    }
    # One entry: safetensors writes several in an order that changes from call to call.
    run = {"key": row.result.key, "spec": json.loads(row.spec)}
    return save(parameters, metadata={"run": json.dumps(run, sort_keys=True)})
