"""How a process is set while it runs: for equal bits, and for no time lost to memory."""

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator

import torch

THREADS = 1
"""Threads that a run computes with, whatever the process around it is set to."""

# Parameters of mallopt(3), and a size that no tensor of a run exceeds.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, with numbers too small for full precision taken as zero.

    More threads change the order of sums, and denormal numbers cost a hundredfold.
    """
    _keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


@functools.cache
def _keep_freed_memory() -> None:
    """Keep freed memory in the process instead of giving it back at every step.

    A training step allocates and frees the same few megabytes thousands of times a second; with
    the C library's defaults each time costs a page fault for every 4 kB.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
