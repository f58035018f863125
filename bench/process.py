"""Settings of a process during runs: for identical bits, and for fast memory."""

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator

import torch

from ..datasets.steady import steady

# Parameters of mallopt(3), and a size that no tensor of a run exceeds.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 28


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch as ``steady`` does, and reuse the memory that it frees."""
    _keep_freed_memory()
    with steady():
        yield


@functools.cache
def _keep_freed_memory() -> None:
    """Keep freed memory in the process instead of returning it to the system at every step.

    A training step allocates and frees the same few megabytes thousands of times a second; with
    the C library's defaults each allocation costs a page fault for every 4 kB.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def why_no_gpu() -> str | None:
    """Say why torch finds no GPU; None if it finds one."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for the CPU only"
    return f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no GPU here"
