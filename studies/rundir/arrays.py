"""NumPy files without pickle: equal arrays give equal bytes; sizes are checked before reading."""

import io
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datasets.errors import UsageError
from .strict import open_plain

Array = npt.NDArray[np.generic]

_MOST_ARRAYS = 4000
_LONGEST_HEADER = 10_000
_KINDS = "biufU"
# All that NumPy and zipfile raise on bytes that were not written by them.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, OverflowError, SyntaxError,
    NotImplementedError, zipfile.BadZipFile, TypeError,
)  # fmt: skip


def write_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Pack arrays as ``numpy.savez`` does, but without the date that makes equal content differ."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def read_arrays(path: Path, dimensions: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Read the arrays of a file that ``write_arrays`` or ``numpy.savez`` wrote.

    Nothing in it is compressed, so no array is larger than the file; and its header must promise
    exactly the bytes that follow it. Nothing is unpickled.

    Args:
        path: The file.
        dimensions: Number of dimensions by name; other arrays are not checked.

    Raises:
        UsageError: The file is damaged.
        OSError: It does not exist or cannot be read.
    """
    with open_plain(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                check_stored(entries, os.fstat(file.fileno()).st_size, _MOST_ARRAYS)
                arrays = {e.filename.removesuffix(".npy"): _array(archive, e) for e in entries}
            for name, count in (dimensions or {}).items():
                if name in arrays and arrays[name].ndim != count:
                    shape = arrays[name].shape
                    raise ValueError(f"{name} has shape {shape} instead of {count} dimensions")
        except _DAMAGE as error:
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise UsageError(f"{str(path)!r} is damaged: {why}") from error
    return arrays


def check_stored(entries: list[zipfile.ZipInfo], size: int, most: int) -> None:
    """Check the table of a ZIP file before anything of it is read.

    Args:
        entries: Its members.
        size: Bytes of the file.
        most: Largest number of members.

    Raises:
        ValueError: A member is compressed or named twice, or they are too many or too large.
    """
    if len(entries) > most:
        raise ValueError(f"it holds {len(entries):,} members, and at most {most:,} are expected")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename[:80]!r} in it is compressed")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("it holds one name twice")
    # Members that overlap could together be larger than the file.
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its members are larger than itself")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """Read one member; its header is checked against its size before the array is made."""
    with archive.open(entry) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{entry.filename[:80]!r} in it is of an unknown format")
        header = np.lib.format.read_array_header_1_0(member, max_header_size=_LONGEST_HEADER)
        shape, fortran, form = header
        if form.kind not in _KINDS or form.subdtype is not None or not form.itemsize:
            raise ValueError(f"{entry.filename[:80]!r} in it holds {form}, not numbers or text")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"{entry.filename[:80]!r} in it has the shape {shape}")
        promised, present = math.prod(shape) * form.itemsize, entry.file_size - member.tell()
        if promised != present:
            raise ValueError(
                f"the header of {entry.filename[:80]!r} in it promises {promised:,} bytes, and "
                f"{present:,} follow"
            )
        data = member.read()
    return np.frombuffer(data, form).reshape(shape, order="F" if fortran else "C")
