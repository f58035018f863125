"""Identical settings of arithmetic in every process, for bitwise identical results."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

THREADS = 1
"""Number of threads for computations, regardless of the process's own setting."""


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Compute on one thread, ``neutral``, with numbers too small for full precision taken as zero.

    More threads change the order of sums, and denormal numbers are a hundred times slower. The
    previous settings return at the end, so calls may be nested.
    """
    with neutral(), _THREADS.held():
        flushed = _flushes()
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(flushed)


@contextlib.contextmanager
def neutral() -> Iterator[None]:
    """Compute with the defaults of torch and NumPy, whatever the session has set; may be nested."""
    with contextlib.ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(all="ignore"))
        for setting in _DEFAULTS:
            stack.enter_context(setting.held())
        yield


class _Setting:
    """A setting of the process, which several threads may hold: the last one restores it."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], None], value: object) -> None:
        self._get = get
        self._put = put
        self._value = value
        self._lock = threading.Lock()
        self._holders = 0
        self._before: object = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                self._before = self._get()
            self._holders += 1
            self._put(self._value)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._put(self._before)


_THREADS = _Setting(torch.get_num_threads, torch.set_num_threads, THREADS)
_DEFAULTS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
)


def _flushes() -> bool:
    """Whether denormal numbers are flushed to zero; torch has a setter but no getter."""
    # Made from its bits: as a literal it would itself be flushed to zero.
    smallest = torch.ones(1, dtype=torch.int64).view(torch.float64)
    return not bool(smallest.mul(1.0).any())
