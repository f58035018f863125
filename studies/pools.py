"""Where runs are carried out: in this process, or in processes that end with it."""

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Idle processes of a pool that waits for one slow run stay; they are cheap beside starting again.
_IDLE_SECONDS = 600

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Pool(ABC):
    """An executor that can be replaced when one of its workers is lost.

    Attributes:
        workers: Runs that are carried out at a time.
        capacity: Tasks worth having under way: enough that no worker waits for the next.
    """

    workers: int
    capacity: int

    @abstractmethod
    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Start a task. A lost worker shows as ``BrokenExecutor`` in its future."""

    @abstractmethod
    def renew(self) -> None:
        """Replace what a lost worker broke."""

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop the workers.

        Args:
            kill: Do not wait for what they are doing.
        """


def open_pool(workers: int) -> Pool:
    """A pool of ``workers`` processes, or this process for one."""
    return InProcess() if workers == 1 else Processes(workers)


class InProcess(Pool):
    """Tasks run where they are submitted, at once."""

    workers = 1
    capacity = 1

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run the task; only what stops the process gets past the future."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def renew(self) -> None:
        """Nothing can be lost here without losing everything."""

    def close(self, *, kill: bool) -> None:
        """Nothing was started."""


class Processes(Pool):
    """Worker processes of joblib's loky, one thread each.

    Args:
        workers: Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # One task in reserve per worker hides the time in which the next one is prepared.
        self.capacity = 2 * workers
        self._executor: Executor | None = None

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Send the task to a worker."""
        if self._executor is None:
            self._executor = self._start()
        try:
            future: Future[T] = self._executor.submit(function, *args, **kwargs)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        return future

    def renew(self) -> None:
        """Give the broken processes up; the next task starts new ones."""
        self.close(kill=True)

    def close(self, *, kill: bool) -> None:
        """Stop the workers."""
        executor: Any = self._executor
        self._executor = None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=kill)

    def _start(self) -> Executor:
        from joblib.externals.loky import ProcessPoolExecutor

        _silence_tracker()
        executor: Executor = ProcessPoolExecutor(
            max_workers=self.workers,
            timeout=_IDLE_SECONDS,
            initializer=_start_worker,
            initargs=(os.getpid(),),
            env=dict.fromkeys(_THREADS, "1"),
        )
        return executor


def _silence_tracker() -> None:
    """Keep loky's book-keeper from warning about what killed workers left: it cleans that up."""
    quiet = "ignore:resource_tracker"
    others = [w for w in os.environ.get("PYTHONWARNINGS", "").split(",") if w and w != quiet]
    os.environ["PYTHONWARNINGS"] = ",".join([*others, quiet])


def _start_worker(controller: int) -> None:
    """Leave Ctrl-C to the controller, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(controller,), daemon=True).start()


def _watch(controller: int) -> None:
    while os.getppid() == controller:
        time.sleep(0.5)
    os._exit(1)
