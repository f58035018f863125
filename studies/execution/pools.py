"""Pools of workers on this machine: this process, or processes that end with it."""

import contextlib
import os
import queue
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, wait
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from ...datasets.errors import UsageError, in_one_line
from .streams import complete, settle

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

T = TypeVar("T")

# Seconds after which an idle process ends; starting it again is slower than letting it wait.
_IDLE_SECONDS = 600

# Bytes by which a worker may grow before loky regards it as leaking and replaces it. Samples and
# buffers that a worker caches for its next runs exceed loky's default of 0.3 GB.
_LEAK = 4_000_000_000

# Seconds to wait for killed workers.
_PATIENCE = 1.0

# Seconds after which a waiting thread counts the time of a task; a process that was stopped
# meanwhile counts them once.
_PULSE = 0.1

# Times that a worker which is lost before it has a task is started.
_STARTS = 3

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class TimeLimitError(Exception):
    """A task exceeded its time limit; its process was stopped."""


class StartError(UsageError):
    """No worker process can be started; no run is to blame."""


class LostWorkerError(Exception):
    """The process of a task has ended: killed, crashed, or out of memory."""


class Pool(ABC):
    """Workers that execute one task each at a time, and are replaced when they are lost.

    Use as a context manager: leaving it stops the workers, at once if an exception is raised.

    Attributes:
        workers: Number of tasks that run at a time.
        capacity: Number of tasks to submit at a time so that no worker waits for the next.
    """

    workers: int
    capacity: int

    @abstractmethod
    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Submit a call that can be pickled; ``seconds`` limits its time from when it starts.

        Returns:
            A future of its result, or of its exception, ``LostWorkerError``, ``TimeLimitError`` or
            ``StartError``.
        """

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop the workers; with ``kill``, without waiting for running tasks."""

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop the workers."""
        try:
            self.close(kill=kind is not None)
        except BaseException:
            self.close(kill=True)
            raise


class InProcess(Pool):
    """This process, which runs each task when it is submitted and cannot stop it.

    It calls ``prepare`` before the first task.
    """

    workers = 1
    capacity = 1

    def __init__(self, prepare: Callable[[], object] | None = None) -> None:
        self._prepare = prepare

    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Run the task; its future holds any exception but Ctrl-C and ``SystemExit``."""
        if seconds is not None:
            raise ValueError("a task in this process cannot have a time limit")
        prepare, self._prepare = self._prepare or int, None
        prepare()
        future: Future[T] = Future()
        try:
            future.set_result(task())
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, kill: bool) -> None:
        """Do nothing: no process was started."""


class _Ticket(NamedTuple):
    """A submitted task that waits for a worker."""

    task: Callable[[], object]
    seconds: float | None
    future: "Future[Any]"


class Processes(Pool):
    """Worker processes of joblib's loky, with one compute thread each.

    Every worker is an executor of its own, fed by a thread, so that a lost or stopped process loses
    exactly one task and does not affect the others. Every new process calls ``prepare`` once.
    """

    def __init__(self, workers: int, prepare: Callable[[], object] | None = None) -> None:
        self.workers = workers
        # One queued task per worker, so that no worker waits while the next task is prepared.
        self.capacity = 2 * workers
        # Starting a process flushes the standard streams.
        complete()
        try:
            # Imported here: threads that import it at the same time may get an incomplete module.
            from joblib.externals.loky.backend import resource_tracker  # noqa: F401
        except (ImportError, OSError) as error:
            raise _no_worker(error) from error
        self._prepare = prepare
        self._tickets: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._executors: set[ProcessPoolExecutor] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Queue the task for the next idle worker."""
        future: Future[T] = Future()
        self._tickets.put(_Ticket(task, seconds, future))
        if len(self._threads) < self.workers:
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError as error:
                raise _no_worker(error) from error
        return future

    def close(self, *, kill: bool) -> None:
        """Stop the workers."""
        with self._lock:
            self._closed = kill
            running = self._executors if kill else set()
            self._executors = self._executors - running
        for _ in self._threads:
            self._tickets.put(None)
        stoppers = [threading.Thread(target=_kill, args=(executor,)) for executor in running]
        for thread in stoppers:
            thread.start()
        # A process that is just starting may end later than this method waits.
        end = time.monotonic() + _PATIENCE
        for thread in stoppers if kill else self._threads:
            thread.join(max(0.0, end - time.monotonic()) if kill else None)

    def _serve(self) -> None:
        executor: ProcessPoolExecutor | None = None
        while (ticket := self._tickets.get()) is not None and not self._closed:
            if not ticket.future.set_running_or_notify_cancel():
                continue
            try:
                executor = executor or self._started()
                inner = self._submitted(executor, ticket.task)
                if _ends(inner, ticket.seconds):
                    ticket.future.set_result(inner.result())
                    continue
                error: Exception = TimeLimitError(f"took longer than {ticket.seconds:g} s")
            except BrokenExecutor:
                error = LostWorkerError("the worker process was lost")
            except BaseException as raised:  # raised by the task, not by this thread
                ticket.future.set_exception(raised)
                continue
            # The process ends before the future is set, so that it cannot disturb what follows.
            if executor is not None:
                self._shut_down(executor, kill=True)
                executor = None
            ticket.future.set_exception(error)
        if executor is not None:
            self._shut_down(executor, kill=False)

    def _started(self) -> "ProcessPoolExecutor":
        """Start a worker.

        Raises:
            UsageError: ``prepare`` raised it.
            StartError: It cannot be started or prepared.
        """
        for left in reversed(range(_STARTS)):
            try:
                return self._start()
            except UsageError:
                raise
            except BrokenExecutor as error:
                if not left:
                    raise _no_worker(error) from error
            except Exception as error:
                raise _no_worker(error) from error
        raise AssertionError("unreachable")

    def _submitted(
        self, executor: "ProcessPoolExecutor", task: Callable[[], object]
    ) -> "Future[object]":
        try:
            submitted: Future[object] = executor.submit(task)
        except BrokenExecutor:
            raise
        except Exception as error:  # a process that was idle for long is started again
            raise _no_worker(error) from error
        return submitted

    def _start(self) -> "ProcessPoolExecutor":
        from joblib.externals.loky import ProcessPoolExecutor

        _shield()
        executor = ProcessPoolExecutor(
            max_workers=1,
            timeout=_IDLE_SECONDS,
            initializer=_start_worker,
            initargs=(os.getpid(),),
            env=dict.fromkeys(_THREADS, "1"),
        )
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._executors.add(executor)
        try:
            executor.submit(self._prepare or int).result()
        except BaseException:
            self._shut_down(executor, kill=True)
            raise
        return executor

    def _shut_down(self, executor: "ProcessPoolExecutor", *, kill: bool) -> None:
        with self._lock:
            if executor not in self._executors:
                return  # close() shuts it down
            self._executors.discard(executor)
        executor.shutdown(wait=True, kill_workers=kill)


def _no_worker(error: BaseException) -> StartError:
    return StartError(
        f"a worker process cannot be started ({in_one_line(error, 300)}): mend that, or use "
        "--workers 1 without limits.run_seconds, which needs none; then run the same command again "
        "to continue"
    )


def _ends(future: "Future[object]", seconds: float | None) -> bool:
    """Wait until a task ends, for so many seconds in which this process runs; tell whether so."""
    if seconds is None:
        return bool(wait([future]).done)
    while seconds > 0:
        pulse = min(_PULSE, seconds)
        if wait([future], timeout=pulse).done:
            return True
        seconds -= pulse
    return False


def _kill(executor: "ProcessPoolExecutor") -> None:
    """End an executor and its process at once.

    If a task is just being handed out, loky's ``kill_workers`` prints an error to standard error,
    but it cleans up after dead processes silently. So the processes are killed first; loky has no
    public way to list them.
    """
    # The lock is held while a task is accepted and its process is started.
    with executor._flags.shutdown_lock:
        pids = list(executor._processes)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    executor.shutdown(wait=True, kill_workers=not pids)


def _shield() -> None:
    """Keep Ctrl-C from all processes that this thread starts, even while they start.

    They inherit the signals that are blocked here. Starting the resource trackers unblocks SIGINT
    again, so they are started first; they handle the signal themselves.
    """
    from multiprocessing import resource_tracker as standard

    from joblib.externals.loky.backend import resource_tracker as loky

    _silence_tracker()
    loky.ensure_running()
    standard.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _silence_tracker() -> None:
    """Silence loky's warnings about files of killed workers, which its tracker removes."""
    ignore = "ignore:resource_tracker"
    filters = [f for f in os.environ.get("PYTHONWARNINGS", "").split(",") if f and f != ignore]
    os.environ["PYTHONWARNINGS"] = ",".join([*filters, ignore])


def _start_worker(controller: int) -> None:
    """Ignore Ctrl-C in this worker, drop what it cannot print, and end it with its controller."""
    from joblib.externals.loky import process_executor

    # loky has no public setting for this bound.
    process_executor._MAX_MEMORY_LEAK_SIZE = _LEAK
    settle()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(controller,), daemon=True).start()


def _watch(controller: int) -> None:
    """End this process when its parent is no longer the controller."""
    while os.getppid() == controller:
        time.sleep(0.5)
    os._exit(1)
