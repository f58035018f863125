"""Compiling loops with numba."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep the machine code on disk.

    Products and sums may fuse, as they do in every matrix library; nothing is reordered. Code on
    disk is made again when the function's own file changes, so a file of compiled functions calls
    none of another file.
    """
    return _compile(function, {"contract"})


def compiled_sums(function: Callable[..., Any]) -> Any:
    """``compiled``, with sums split over the vector unit in an order that their length fixes."""
    return _compile(function, {"contract", "reassoc", "nsz"})


def _compile(function: Callable[..., Any], freedom: set[str]) -> Any:
    options: dict[str, Any] = {"fastmath": freedom, "error_model": "numpy", "nogil": True}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)
