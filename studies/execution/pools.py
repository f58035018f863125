"""Where runs are carried out: in this process, or in processes that end with it."""

import contextlib
import os
import queue
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, wait
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

T = TypeVar("T")

# Idle processes of a pool that waits for one slow run stay; they are cheap beside starting again.
_IDLE_SECONDS = 600

# Bytes by which a worker may grow before loky takes it for a leak and starts another. What a worker
# keeps for its next runs, truths and buffers, is above loky's own bound of 0.3 GB.
_LEAK = 4_000_000_000

# Killed workers are waited for this long.
_PATIENCE = 1.0

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class OverTime(Exception):  # noqa: N818
    """A task took longer than it may; its process was stopped."""


class LostWorker(Exception):  # noqa: N818
    """The process that carried a task out has ended: killed, crashed, or out of memory."""


class Pool(ABC):
    """Workers that carry tasks out, one each at a time, and are replaced when they are lost.

    Attributes:
        workers: Tasks that are carried out at a time.
        capacity: Tasks worth having under way: enough that no worker waits for the next.
    """

    workers: int
    capacity: int

    @abstractmethod
    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Have a task carried out.

        Args:
            task: What to do; it can be pickled.
            seconds: Time it may take, counted from when a worker begins with it.

        Returns:
            Its result, what it raised, ``LostWorker``, or ``OverTime``.
        """

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop the workers.

        Args:
            kill: Do not wait for what they are doing.
        """


class InProcess(Pool):
    """Tasks run where they are submitted, at once; nothing can stop one that takes too long."""

    workers = 1
    capacity = 1

    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Run the task; only what stops the process gets past the future."""
        if seconds is not None:
            raise ValueError("a task in this process cannot be stopped")
        future: Future[T] = Future()
        try:
            future.set_result(task())
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, kill: bool) -> None:
        """Nothing was started."""


class _Ticket(NamedTuple):
    """A task that waits for a worker."""

    task: Callable[[], Any]
    seconds: float | None
    future: "Future[Any]"


class Processes(Pool):
    """Worker processes of joblib's loky, one thread each.

    Every worker is an executor of its own with a thread that feeds it, so that a lost or stopped
    process takes exactly one task with it and the others never notice.

    Args:
        workers: Number of processes.
        prepare: Done once in every new process.
    """

    def __init__(self, workers: int, prepare: Callable[[], object] | None = None) -> None:
        self.workers = workers
        # One task in reserve per worker hides the time in which the next one is prepared.
        self.capacity = 2 * workers
        # By this thread: when several import it at once, one may get hold of half a module.
        from joblib.externals.loky.backend import resource_tracker  # noqa: F401

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
            thread.start()
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
        # One that is just starting may take its time to die; it does so without being waited for.
        end = time.monotonic() + _PATIENCE
        for thread in stoppers if kill else self._threads:
            thread.join(max(0.0, end - time.monotonic()) if kill else None)

    def _serve(self) -> None:
        executor: ProcessPoolExecutor | None = None
        while (ticket := self._tickets.get()) is not None and not self._closed:
            try:
                executor = executor or self._start()
                inner = executor.submit(ticket.task)
                if wait([inner], timeout=ticket.seconds).done:
                    ticket.future.set_result(inner.result())
                    continue
                error: Exception = OverTime(f"took longer than {ticket.seconds:g} s")
            except BrokenExecutor:
                error = LostWorker("the worker process was lost")
            except BaseException as raised:  # it is the task's, not this thread's
                ticket.future.set_exception(raised)
                continue
            # The process is gone before anybody is told, so that it cannot disturb what follows.
            if executor is not None:
                self._give_up(executor, kill=True)
                executor = None
            ticket.future.set_exception(error)
        if executor is not None:
            self._give_up(executor, kill=False)

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
            if self._prepare is not None:
                executor.submit(self._prepare).result()
        except BaseException:
            self._give_up(executor, kill=True)
            raise
        return executor

    def _give_up(self, executor: "ProcessPoolExecutor", *, kill: bool) -> None:
        with self._lock:
            if executor not in self._executors:
                return  # whoever closed the pool does it
            self._executors.discard(executor)
        executor.shutdown(wait=True, kill_workers=kill)


def _kill(executor: "ProcessPoolExecutor") -> None:
    """End an executor whatever it is doing.

    Its own way of killing stumbles over a task that it is just handing out, and says so on standard
    error. Processes that are dead already it clears away without a word.
    """
    # Held while a task is taken in and the process for it is started.
    with executor._flags.shutdown_lock:
        pids = list(executor._processes)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    executor.shutdown(wait=True, kill_workers=not pids)


def _shield() -> None:
    """Let Ctrl-C reach none of the processes that this thread starts, not even while they start.

    They inherit what is blocked here. Starting loky's book-keepers, which care for themselves,
    would unblock it again, so that comes first.
    """
    from multiprocessing import resource_tracker as standard

    from joblib.externals.loky.backend import resource_tracker as loky

    _silence_tracker()
    loky.ensure_running()
    standard.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _silence_tracker() -> None:
    """Keep loky's book-keeper from warning about what killed workers left: it cleans that up."""
    quiet = "ignore:resource_tracker"
    others = [w for w in os.environ.get("PYTHONWARNINGS", "").split(",") if w and w != quiet]
    os.environ["PYTHONWARNINGS"] = ",".join([*others, quiet])


def _start_worker(controller: int) -> None:
    """Leave Ctrl-C to the controller, and never outlive it."""
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = _LEAK
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(controller,), daemon=True).start()


def _watch(controller: int) -> None:
    while os.getppid() == controller:
        time.sleep(0.5)
    os._exit(1)
