"""What confirmed runs leave besides their row: samples, fields and parameters, without pickle.

Each confirmed run's artifacts wait in ``parts/`` until its cell is finished; then they become the
three files of the cell, best replicate first. Equal arrays make equal files, byte for byte.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .files import write_atomically
from .rows import Cell, Place, Row

if TYPE_CHECKING:
    from ..bench.run import Artifacts

Array = npt.NDArray[np.generic]

PARTS = "parts"
_PARAMETER = "parameters/"


class ArtifactFiles:
    """The artifact files of a run directory.

    Args:
        directory: The run directory; only its single writer may use this.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def finished(self, cell: Cell) -> bool:
        """Whether the cell's files are all there."""
        return all(path.exists() for path in self._finals(cell))

    def holds(self, place: Place) -> bool:
        """Whether the artifacts of a confirmed run are there, apart or in the cell's files."""
        return self._part(place).exists() or self.finished(place.cell)

    def keep(self, place: Place, artifacts: "Artifacts") -> None:
        """Store the artifacts of a confirmed run until its cell is finished."""
        arrays: dict[str, Array] = {"samples": artifacts.samples}
        fields = {
            "energy": artifacts.energy,
            "score": artifacts.score_field,
            "curve": artifacts.curve,
        }
        arrays |= {name: array for name, array in fields.items() if array is not None}
        for name, array in artifacts.parameters.items():
            arrays[_PARAMETER + name] = array
        (self.directory / PARTS).mkdir(exist_ok=True)
        write_atomically(self._part(place), _npz(arrays))

    def assemble(self, cell: Cell, ranked: Sequence[Row], extent: float) -> None:
        """Make the cell's files of its parts.

        Args:
            cell: Whose.
            ranked: Its confirmed runs that are ok, best first.
            extent: Half the side of the box that the fields cover.
        """
        if ranked and not self.finished(cell):
            parts = [self._load(row.place) for row in ranked]
            samples, fields, model = self._finals(cell)
            for path in (samples, fields, model):
                path.parent.mkdir(exist_ok=True)
            write_atomically(samples, _samples(parts, ranked))
            write_atomically(fields, _fields(parts[0], extent))
            write_atomically(model, _model(parts[0], ranked[0]))
        folder = self.directory / PARTS
        for row in ranked:
            self._part(row.place).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def _finals(self, cell: Cell) -> tuple[Path, Path, Path]:
        return (
            self.directory / "samples" / f"{cell.stem}.npz",
            self.directory / "fields" / f"{cell.stem}.npz",
            self.directory / "models" / f"{cell.stem}.safetensors",
        )

    def _part(self, place: Place) -> Path:
        return self.directory / PARTS / f"{place.cell.stem}-{place.replicate}.npz"

    def _load(self, place: Place) -> dict[str, Array]:
        with np.load(self._part(place), allow_pickle=False) as part:
            return dict(part)


def _samples(parts: Sequence[Mapping[str, Array]], rows: Sequence[Row]) -> bytes:
    samples = [part["samples"] for part in parts]
    replicates = [row.place.replicate for row in rows]
    sizes = [len(array) for array in samples]
    return _npz(
        {
            "samples": np.concatenate(samples),
            "replicate": np.repeat(np.asarray(replicates, dtype=np.int64), sizes),
        }
    )


def _fields(part: Mapping[str, Array], extent: float) -> bytes:
    fields = {name: part[name] for name in ("energy", "score", "curve") if name in part}
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
