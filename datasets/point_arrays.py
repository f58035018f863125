"""Points that come from other software: any array becomes a float64 tensor, or one clear line."""

from typing import Any

import numpy as np
import torch
import torch.utils.dlpack
from torch import Tensor

from .errors import UsageError, first_line

_NUMBERS = "fiu"
_KINDS = {
    "b": "true or false values",
    "c": "complex numbers",
    "M": "dates",
    "m": "time differences",
    "S": "text",
    "U": "text",
    "T": "text",
    "V": "a structured array",
}


def points_of(
    value: object,
    what: str = "points",
    *,
    dim: int | None = None,
    least: int = 2,
    finite: bool = True,
) -> Tensor:
    """Convert an array of any library to points, float64 of shape (n, d), which are copied.

    Args:
        value: NumPy, torch, pandas, nested lists, or anything with ``__array__`` or DLPack. One
            axis is n points of one dimension.
        what: Name of the points in errors.
        dim: Dimension d that they must have.
        least: Least number of points.
        finite: Whether NaN and infinity are refused.

    Raises:
        UsageError: It is no such array; one line names the value and the fix.
    """
    array = _numbers(_array(value, what), what)
    if array.ndim == 1 and dim in (None, 1):
        array = array[:, None]
    expected = f"(n, {'d' if dim is None else dim})"
    if array.ndim != 2 or array.shape[1] == 0 or dim not in (None, array.shape[1]):
        turned = array.ndim == 2 and array.shape[0] == dim
        hint = "; its transpose has it" if turned else ""
        raise UsageError(f"{what} have shape {array.shape}, where {expected} is right{hint}")
    if len(array) < least:
        raise UsageError(f"{what} are {len(array)} in number: at least {least} are needed")
    points = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
    if finite:
        _require_finite(points, what)
    return points


def _array(value: object, what: str) -> "np.ndarray[Any, Any]":
    """Make a NumPy array of any type."""
    if value is None or isinstance(value, str | bytes | dict | set):
        raise UsageError(f"{what} are {_type(value)}: give an array of shape (n, d)")
    if isinstance(value, np.ma.MaskedArray):
        hidden = int(np.ma.getmaskarray(value).sum())
        raise UsageError(
            f"{what} are a masked array ({hidden} values are masked): give the rows that are "
            "complete as a plain array, for example np.ma.compress_rows(points).data"
        )
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):
        _require_number_columns(value, what)
    try:
        if hasattr(value, "isna") and hasattr(value, "to_numpy"):
            # Missing values of pandas' own types would make an array of objects.
            missing: np.ndarray[Any, Any] = value.to_numpy(dtype=np.float64, na_value=np.nan)
            return missing
        if isinstance(value, Tensor):
            return value.detach().cpu().resolve_conj().resolve_neg().numpy()
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return torch.utils.dlpack.from_dlpack(value).cpu().numpy()
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError, AttributeError) as error:
        raise UsageError(
            f"{what} are {_type(value)}, which is no array ({first_line(error)}): give an array "
            "of shape (n, d)"
        ) from error


def _numbers(array: "np.ndarray[Any, Any]", what: str) -> "np.ndarray[Any, Any]":
    """Refuse arrays of anything else than real numbers."""
    kind = array.dtype.kind
    if kind == "O":
        first = next(iter(array.flat), None)
        raise UsageError(
            f"{what} have dtype object (the first is {first!r}): give numbers, for example "
            "points.astype(float)"
        )
    if kind not in _NUMBERS:
        held = _KINDS.get(kind, f"values of dtype {array.dtype}")
        raise UsageError(f"{what} hold {held} (dtype {array.dtype}): give real numbers")
    return array


def _require_number_columns(frame: Any, what: str) -> None:
    """Refuse data frames with columns that hold no numbers, by their names."""
    for name in frame.columns:
        kind = str(frame[name].dtype).lower()
        if not kind.startswith(("int", "uint", "float", "double")):
            raise UsageError(
                f"{what} have a column {str(name)!r} of type {kind}, not of numbers: leave it out"
            )


def _require_finite(points: Tensor, what: str) -> None:
    bad = (~points.isfinite().all(1)).nonzero().flatten()
    if len(bad):
        raise UsageError(
            f"{len(bad)} of {len(points)} {what} hold NaN or infinity (the first is row "
            f"{int(bad[0])}, counted from 0): leave these rows out"
        )


def _type(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
