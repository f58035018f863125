"""Read points from a file: CSV, NPY, NPZ or Parquet, by the end of its name."""

import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError, in_one_line, unknown

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]

# Points are held a few times over: as they were read, in double precision, and sorted into parts.
_COPIES = 4
_SHOWN = 3
# Names of the array of points in an NPZ file of several.
_POINTS = ("points", "x", "X", "samples", "data")


@dataclass(frozen=True)
class PointTable:
    """Points of a file.

    Attributes:
        points: Shape (n, d), n >= 1, d >= 1, all finite.
        columns: Names of the d coordinates; their numbers where the file has no names.
        part: The text of the column that splits the points, shape (n,); None without one.
        dropped: Number of rows left out because a number is missing or infinite.
    """

    points: Numbers
    columns: tuple[str, ...]
    part: NDArray[np.str_] | None = None
    dropped: int = 0


def read_points(
    path: str | Path,
    content: bytes | None = None,
    *,
    columns: Sequence[str] = (),
    split: str = "",
    drop_missing: bool = False,
) -> PointTable:
    """Read points from a file, or from its ``content`` if that is known already.

    Args:
        path: The file; the end of its name is its format. Arrays of more than two axes, such as
            images, have one point per index of the first axis.
        content: The bytes of the file.
        columns: Names of the columns to use, in this order (default: all but ``split``); columns
            without names are called by their numbers, from 0.
        split: Name of a column that says what each point is for.
        drop_missing: Leave out rows with a missing or infinite number instead of refusing them.

    Raises:
        UsageError: The file cannot be read, holds something else than numbers, or no points.
    """
    name = str(path)
    suffix = Path(name).suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(
            f"{name!r} is no file of points: its name must end in {', '.join(_FORMATS)}"
        )
    data = content_of(path) if content is None else content
    if not data.strip():
        raise UsageError(f"{name!r} is empty: it must hold at least one point")
    try:
        whole = _FORMATS[suffix](data, name)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{name!r} cannot be read as {suffix[1:].upper()}: {in_one_line(error, 200)}"
        ) from error
    whole.columns = [str(column) for column in whole.columns]
    return _chosen(whole, name, columns, split, drop_missing)


def content_of(path: str | Path) -> bytes:
    """Read the bytes of a file of points.

    Raises:
        UsageError: It cannot be read, or memory is too small for its points.
    """
    file, name = Path(path), str(path)
    try:
        size, regular = file.stat().st_size, file.is_file()
        if regular:
            require_memory(size, name)
            return file.read_bytes()
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the file of points {name!r} cannot be read: {why}") from error
    # A device or a pipe may have no end.
    raise UsageError(f"{name!r} is not a file of points")


def require_memory(size: float, name: str) -> None:
    """Raise ``UsageError`` if points of ``size`` bytes do not fit into the memory of the machine.

    ``name`` is that of their file.
    """
    try:
        there = float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return
    if _COPIES * size > there:
        raise UsageError(
            f"{name!r} holds {size / 1e9:,.1f} GB of points: they need {_COPIES * size / 1e9:,.0f}"
            f" GB of memory, and this machine has {there / 1e9:,.0f} GB: use a part of them"
        )


def _csv(data: bytes, name: str) -> "pd.DataFrame":
    """Columns separated by commas, semicolons or tabs, with a line of names or without."""
    import pandas as pd

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name!r} is not text in UTF-8") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    head = [field.strip() for field in next(csv.reader([first], delimiter=separator), [])]
    named = not all(_is_number(field) for field in head)
    if named and not any(line.strip() for line in text.splitlines()[1:]):
        return pd.DataFrame(columns=pd.Index(head))
    # Fields are counted, so that no row is silently cut or moved.
    frame = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, skiprows=int(named), index_col=False,
        skip_blank_lines=True, skipinitialspace=True,
        low_memory=False,
    )  # fmt: skip
    if named and len(frame.columns) != len(head):
        raise UsageError(
            f"{name!r} names {len(head)} columns in its first line, and its rows have "
            f"{len(frame.columns)} numbers: correct the first line"
        )
    if named:
        twice = [field for field in dict.fromkeys(head) if head.count(field) > 1]
        if twice:
            raise UsageError(f"{name!r} has two columns called {twice[0]!r}: rename one of them")
        frame.columns = pd.Index(head)
    return frame


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return not field
    return True


def _parquet(data: bytes, name: str) -> "pd.DataFrame":
    import pandas as pd
    from pyarrow import parquet

    about = parquet.ParquetFile(io.BytesIO(data)).metadata
    require_memory(8.0 * about.num_rows * about.num_columns, name)
    return pd.read_parquet(io.BytesIO(data))


def _npy(data: bytes, name: str) -> "pd.DataFrame":
    # NumPy would take anything else for a pickle, and advise to trust it.
    if not data.startswith(b"\x93NUMPY"):
        raise UsageError(f"{name!r} cannot be read as NPY: numpy.save writes such files")
    return _of_array(np.load(io.BytesIO(data), allow_pickle=False), name)


def _npz(data: bytes, name: str) -> "pd.DataFrame":
    with zipfile.ZipFile(io.BytesIO(data)) as members:
        require_memory(sum(entry.file_size for entry in members.infolist()), name)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        names = list(arrays)
        chosen = next((key for key in _POINTS if key in names), names[0] if len(names) == 1 else "")
        if not chosen:
            raise UsageError(
                f"{name!r} holds the arrays {', '.join(names) or 'none'}: call the one with the "
                "points 'points'"
            )
        return _of_array(arrays[chosen], name)


def _of_array(array: NDArray[Any], name: str) -> "pd.DataFrame":
    import pandas as pd

    if array.dtype.kind not in "biuf":
        raise UsageError(f"{name!r} holds {array.dtype}: points must be real numbers")
    if array.ndim == 0:
        raise UsageError(f"{name!r} holds one number: points have shape (n, d)")
    return pd.DataFrame(array.reshape(len(array), -1 if array.size else 0))


_FORMATS: dict[str, Callable[[bytes, str], "pd.DataFrame"]] = {
    ".csv": _csv,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
}


def _chosen(
    whole: "pd.DataFrame", name: str, columns: Sequence[str], split: str, drop_missing: bool
) -> PointTable:
    """Take the columns of numbers, and the rows without a missing one."""
    known = list(whole.columns)
    if len(whole) == 0:
        raise UsageError(f"{name!r} holds no points: it must have at least one row")
    for column in (*columns, *([split] if split else [])):
        if column not in known:
            raise unknown(f"column of {name!r} called", str(column), known)
    used = list(columns) or [column for column in known if not split or column != split]
    if not columns and len(used) > 1 and used[0] == "" and _counts_rows(whole[used[0]]):
        raise UsageError(
            f"{name!r}: its first column has no name and counts the rows: it is no coordinate; "
            "write the file without it (pandas: index=False), or name the others (of a dataset: "
            f"columns = {_listed(used[1:])})"
        )
    if not used:
        raise UsageError(f"{name!r} has no columns of numbers: points need at least one")
    if len(set(used)) < len(used) or (split and split in used):
        raise UsageError(f"columns = {used!r} names a column twice, or the one that splits")
    numbers = np.stack([_numbers(whole, column, name) for column in used], axis=1)
    lost = ~np.isfinite(numbers).all(axis=1)
    if lost.any() and not drop_missing:
        rows = np.flatnonzero(lost)
        shown = ", ".join(str(row + 1) for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        where = used[int(np.flatnonzero(~np.isfinite(numbers[rows[0]]))[0])]
        raise UsageError(
            f"{name!r} has {len(rows)} of {len(numbers)} rows with a missing or infinite number: "
            f"row {shown}{more} (the first in column {where!r}): correct them, or leave them out "
            "(of a dataset: drop_missing = true)"
        )
    if lost.all():
        raise UsageError(f"{name!r} has a missing or infinite number in each of its rows")
    part = None
    if split:
        part = whole[split].astype(str).to_numpy(dtype=np.str_)[~lost]
    return PointTable(numbers[~lost], tuple(used), part, int(lost.sum()))


def _numbers(whole: "pd.DataFrame", title: str, name: str) -> Numbers:
    """The numbers of a column; NaN where one is missing."""
    import pandas as pd

    column = whole[title]
    if pd.api.types.is_complex_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise UsageError(f"{name!r}: column {title!r} holds {column.dtype}, not real numbers")
    converted = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero((converted.isna() & column.notna()).to_numpy())
    if len(wrong):
        fine = [other for other in whole.columns if pd.api.types.is_numeric_dtype(whole[other])]
        hint = (
            f"keep the columns of numbers (of a dataset: columns = {_listed(fine)})"
            if fine
            else "numbers are written as 1.5, and separated by commas, semicolons or tabs"
        )
        raise UsageError(
            f"{name!r}: column {title[:40]!r} holds text ({str(column.iloc[wrong[0]])[:40]!r} in "
            f"row {wrong[0] + 1}; {len(wrong)} in all): {hint}"
        )
    numbers: Numbers = converted.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _counts_rows(column: "pd.Series[Any]") -> bool:
    """Say whether a column is 0, 1, 2, ... or 1, 2, 3, ..., as tables number their rows."""
    return column.tolist() in (list(range(len(column))), list(range(1, len(column) + 1)))


def _listed(columns: Sequence[str]) -> str:
    """Write the first names of columns as a list of a study file."""
    shown = ", ".join(f'"{column}"' for column in columns[:_SHOWN])
    return f"[{shown}{', ...' if len(columns) > _SHOWN else ''}]"


# Files that studies carry, or where they are, by the hash of their content.
_known: dict[str, bytes | Path] = {}


def carry(sha256: str, content: bytes | Path) -> None:
    """Remember the content of a file of points, or where it is, by its hash."""
    _known[sha256] = content


def known_content(path: str, sha256: str) -> bytes:
    """Return the content with a hash, from a study that carries it or from the file itself.

    Raises:
        UsageError: The file cannot be read, or its content has another hash.
    """
    found = _known.get(sha256, Path(path))
    content = found if isinstance(found, bytes) else content_of(found)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise UsageError(
            f"{str(path)!r} was edited: its content is not that with the SHA-256 {sha256[:12]}... "
            "of the study; put the old file back, or start a new study"
        )
    return content
