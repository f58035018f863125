"""What confirmed runs leave besides their row: samples, fields and parameters, without pickle.

Each confirmed run's artifacts wait in ``parts/`` until its cell is finished; then they become the
files of the cell, best replicate first. Equal arrays make equal files, byte for byte. Files name
the keys of the runs in them, so those of rows that no longer count are told from the others.

    samples/CELL.npz         every replicate
        samples (n, d), replicate (n,), keys (replicates,)
    curves/CELL.npz          every replicate; how it learned: see ``bench.artifacts.Learning``
        curves (replicates, points, 3): step, mean loss, mean norm of its gradient
        least (): expected loss of the exact score, NaN where it is not known; loss - least is the
            excess
        names (m,), checkpoints (replicates, c, 1 + m): step, then each metric of a small sample
        replicate (replicates,), keys (replicates,)
    fields/CELL.npz          the best replicate
        energy (g, g), score (q, q, 2), paths (points, chains, 2), extent (); outside the plane
        there is only extent, and what a model or sampler has not is left out
    models/CELL.safetensors  the best replicate
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..cell import Cell
from .files import write_atomically
from .rows import Row

if TYPE_CHECKING:
    from ...bench.artifacts import Artifacts

Array = npt.NDArray[np.generic]

PARTS = "parts"
FOLDERS = ("samples", "curves", "fields", "models")
_PARAMETER = "parameters/"
_LEARNING = "learning/"


class ArtifactFiles:
    """The artifact files of a run directory.

    Args:
        directory: The run directory; only its single writer may use this.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[Cell, list[str]] = {}

    def holds(self, row: Row) -> bool:
        """Whether the artifacts of a confirmed run are there, apart or in the cell's files."""
        return self._part(row).exists() or row.result.key in self._keys(row.slot.cell)

    def keep(self, row: Row, artifacts: "Artifacts") -> None:
        """Store the artifacts of a confirmed run until its cell is finished."""
        arrays: dict[str, Array] = {"samples": artifacts.samples}
        fields = {
            "energy": artifacts.energy,
            "score": artifacts.score_field,
            "paths": artifacts.paths,
        }
        arrays |= {name: array for name, array in fields.items() if array is not None}
        if artifacts.learning is not None:
            learned = artifacts.learning._asdict()
            arrays |= {_LEARNING + name: np.asarray(value) for name, value in learned.items()}
        for name, array in artifacts.parameters.items():
            arrays[_PARAMETER + name] = array
        (self.directory / PARTS).mkdir(exist_ok=True)
        write_atomically(self._part(row), _npz(arrays))

    def assemble(self, cell: Cell, ranked: Sequence[Row], extent: float) -> None:
        """Make the cell's files of its parts, and of the files that it has.

        Args:
            cell: Whose.
            ranked: Its confirmed runs that are ok, best first.
            extent: Half the side of the box that the fields cover.
        """
        if ranked and self._keys(cell) != [row.result.key for row in ranked]:
            best = self._part(ranked[0])
            samples, curves, fields, model = self._finals(cell)
            for path in (samples, curves, fields, model):
                path.parent.mkdir(exist_ok=True)
            drawn = self._drawn(cell, ranked)
            # More runs leave the best one where it is, or put one of themselves in its place.
            if best.exists():
                part = _arrays(best)
                write_atomically(fields, _fields(part, extent))
                write_atomically(model, _model(part, ranked[0]))
            write_atomically(curves, _curves(drawn, ranked))
            # Last: its keys say that all of them are there.
            write_atomically(samples, _samples(drawn, ranked))
            self._known.pop(cell, None)
        folder = self.directory / PARTS
        if folder.is_dir():
            for path in folder.glob(f"{cell.stem}-*.npz"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()

    def discard(self, cell: Cell) -> None:
        """Remove what belongs to rows that no longer count; they can be run again."""
        for path in (*self._finals(cell), *(self.directory / PARTS).glob(f"{cell.stem}-*.npz")):
            path.unlink(missing_ok=True)
        self._known.pop(cell, None)

    def _keys(self, cell: Cell) -> list[str]:
        """Keys of the runs in the cell's files, best first; none unless all files are there."""
        if cell not in self._known:
            paths = self._finals(cell)
            found: list[str] = []
            if all(path.exists() for path in paths):
                try:
                    with np.load(paths[0], allow_pickle=False) as file:
                        found = [str(key) for key in file["keys"]]
                except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                    found = []
            self._known[cell] = found
        return self._known[cell]

    def _drawn(self, cell: Cell, ranked: Sequence[Row]) -> list[Mapping[str, Array]]:
        """Samples and learning of each run, from its part or from the cell's files."""
        old: dict[str, Mapping[str, Array]] = {}
        keys = self._keys(cell)
        if any(row.result.key in keys for row in ranked):
            file, curves = (_arrays(path) for path in self._finals(cell)[:2])
            replicate = file["replicate"]
            for i, (number, key) in enumerate(zip(_firsts(replicate), keys, strict=True)):
                old[key] = {"samples": file["samples"][replicate == number]} | _learning(curves, i)
        return [
            _arrays(part) if (part := self._part(row)).exists() else old[row.result.key]
            for row in ranked
        ]

    def _finals(self, cell: Cell) -> tuple[Path, Path, Path, Path]:
        return (
            self.directory / "samples" / f"{cell.stem}.npz",
            self.directory / "curves" / f"{cell.stem}.npz",
            self.directory / "fields" / f"{cell.stem}.npz",
            self.directory / "models" / f"{cell.stem}.safetensors",
        )

    def _part(self, row: Row) -> Path:
        return self.directory / PARTS / f"{row.slot.cell.stem}-{row.result.key}.npz"


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _firsts(values: Array) -> list[int]:
    """Distinct values, in the order in which they come first."""
    return list(dict.fromkeys(int(value) for value in values))


def _samples(drawn: Sequence[Mapping[str, Array]], rows: Sequence[Row]) -> bytes:
    replicates = [row.slot.replicate for row in rows]
    sizes = [len(part["samples"]) for part in drawn]
    arrays = {
        "samples": np.concatenate([part["samples"] for part in drawn]),
        "replicate": np.repeat(np.asarray(replicates, dtype=np.int64), sizes),
        "keys": np.asarray([row.result.key for row in rows]),
    }
    return _npz(arrays)


# Names in a part, and in the file of the cell; those of the second kind are the same for all runs.
_EACH = {"curve": "curves", "checkpoints": "checkpoints"}
_ALL = ("least", "names")


def _curves(drawn: Sequence[Mapping[str, Array]], rows: Sequence[Row]) -> bytes:
    arrays: dict[str, Array] = {
        "replicate": np.asarray([row.slot.replicate for row in rows], dtype=np.int64),
        "keys": np.asarray([row.result.key for row in rows]),
    }
    # Nothing was trained in a study of no steps.
    if all(_LEARNING + "curve" in part for part in drawn):
        for one, several in _EACH.items():
            arrays[several] = np.stack([part[_LEARNING + one] for part in drawn])
        arrays |= {name: drawn[0][_LEARNING + name] for name in _ALL}
    return _npz(arrays)


def _learning(curves: Mapping[str, Array], member: int) -> dict[str, Array]:
    """What ``_curves`` was made of."""
    if "curves" not in curves:
        return {}
    each: dict[str, Array] = {_LEARNING + n: curves[many][member] for n, many in _EACH.items()}
    return each | {_LEARNING + name: curves[name] for name in _ALL}


def _fields(part: Mapping[str, Array], extent: float) -> bytes:
    fields = {name: part[name] for name in ("energy", "score", "paths") if name in part}
    return _npz({**fields, "extent": np.asarray(extent)})


def _model(part: Mapping[str, Array], row: Row) -> bytes:
    from safetensors.numpy import save

    parameters = {
        name.removeprefix(_PARAMETER): np.ascontiguousarray(array)
        for name, array in part.items()
        if name.startswith(_PARAMETER)
    }
    # One entry: safetensors writes several in an order that changes from call to call.
    about = {"key": row.result.key, "spec": json.loads(row.spec)}
    return save(parameters, metadata={"run": json.dumps(about, sort_keys=True)})


def _npz(arrays: Mapping[str, Array]) -> bytes:
    """What ``numpy.savez`` writes, without the date that makes equal content differ."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()
