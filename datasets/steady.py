"""Identical settings of arithmetic in every process, for bitwise identical results."""

import contextlib
from collections.abc import Iterator

import torch

THREADS = 1
"""Number of threads for computations, regardless of the process's own setting."""


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Compute on one thread, with numbers too small for full precision taken as zero.

    More threads change the order of sums, and denormal numbers are a hundred times slower. The
    previous settings return at the end, so calls may be nested.
    """
    threads, flushed = torch.get_num_threads(), _flushes()
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)


def _flushes() -> bool:
    """Whether denormal numbers are flushed to zero; torch has a setter but no getter."""
    # Made from its bits: as a literal it would itself be flushed to zero.
    smallest = torch.ones(1, dtype=torch.int64).view(torch.float64)
    return not bool(smallest.mul(1.0).any())
