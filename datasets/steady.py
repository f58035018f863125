"""Arithmetic that is set alike in every process, so that equal work gives equal bits."""

import contextlib
from collections.abc import Iterator

import torch

THREADS = 1
"""Threads that numbers are computed with, whatever the process around is set to."""


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Compute on one thread, with numbers too small for full precision taken as zero.

    More threads change the order of sums, and denormal numbers cost a hundredfold. What was set
    before is set again at the end, so it may be used within itself.
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
    """Whether denormal numbers are zero here; torch can be told but not asked."""
    # By its bits: as a number in this text it would itself be read as zero where they are.
    smallest = torch.ones(1, dtype=torch.int64).view(torch.float64)
    return not bool(smallest.mul(1.0).any())
