"""Compiling loops with numba."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba

from ...datasets.cache import folder
from ...datasets.private import make_private

# numba caches machine code by the file of its function; functions of these files call each other.
_SOURCES = ("compiled.py", "gemm.py", "vector_math.py", "products.py", "*_kernels.py")

Function = Callable[..., object]


def compiled(function: Function) -> Any:
    """Compile a function when it is first called, and cache the machine code on disk.

    Products and sums may fuse, as in every matrix library; nothing is reordered.
    """
    return _compile(function, {"contract"}, callable_from_python=True)


def compiled_into(function: Function) -> Any:
    """Compile as ``compiled``, into each compiled function that calls it: in less time for one."""
    return _compile(function, {"contract"}, callable_from_python=True, inline="always")


def compiled_part(function: Function) -> Any:
    """Compile a function that only compiled functions call, as those below, in less time."""
    return _compile(function, {"contract"})


def compiled_sums(function: Function) -> Any:
    """Compile, with sums split over the vector unit in an order that depends on length only."""
    return _compile(function, {"contract", "reassoc", "nsz"})


def compiled_quotients(function: Function) -> Any:
    """Compile, with quotients from a table and a Newton step where ``wide`` is called too.

    They are accurate to the last one or two places of single precision, in half the time. No number
    in the function may be infinite.
    """
    return _compile(function, {"contract", "arcp", "ninf"})


def _compile(
    function: Function,
    freedom: set[str],
    *,
    callable_from_python: bool = False,
    inline: str = "never",
) -> Any:
    options: dict[str, Any] = {"fastmath": freedom, "error_model": "numpy", "nogil": True}
    options |= {"inline": inline}
    if not callable_from_python:
        # Wrappers take as long to compile as a short function.
        options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    home = _home()
    with _settings(home):
        try:
            dispatcher: Any = numba.njit(cache=home is not None, **options)(function)
        except (RuntimeError, OSError):  # the folder is not writable
            dispatcher = numba.njit(**options)(function)
    # numba has no public way to go on without a cache that is full, damaged or read-only.
    stored = dispatcher._cache
    stored.load_overload = _best_effort(stored.load_overload)
    stored.save_overload = _best_effort(stored.save_overload)
    return dispatcher


def _best_effort(step: Function) -> Function:
    def tried(*arguments: object) -> object:
        with contextlib.suppress(Exception):
            return step(*arguments)
        return None

    return tried


@contextlib.contextmanager
def _settings(home: Path | None) -> Iterator[None]:
    """Compile in any case, and cache in a folder of its own for each version of the sources.

    The functions use instructions that Python lacks, so NUMBA_DISABLE_JIT does not apply to them.
    """
    config: Any = numba.config
    before = config.CACHE_DIR, config.DISABLE_JIT
    config.CACHE_DIR, config.DISABLE_JIT = str(home or ""), 0
    try:
        yield
    finally:
        config.CACHE_DIR, config.DISABLE_JIT = before


@cache
def _home() -> Path | None:
    """The folder of the machine code: beside the package, or in the user's cache if read-only.

    numba stores machine code as pickles, which execute what they contain. So nothing is read from a
    folder that another user can write to: without a private folder, nothing is cached.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in here.glob(pattern)):
        digest.update(path.read_bytes())
    name = f"compiled-{digest.hexdigest()[:16]}"
    config: Any = numba.config
    beside = here / "__pycache__" if os.access(here, os.W_OK) else None
    homes = [Path(home) / name for home in (config.CACHE_DIR, beside, folder()) if home]
    return next(filter(make_private, homes), None)
