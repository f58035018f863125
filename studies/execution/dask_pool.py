"""Workers on other machines: a Dask cluster, or one that is started here.

Dask carries tasks to its workers and nothing else. On each worker a task runs in a process of its
own, as it would here, so limits of time and lost processes mean the same everywhere. Workers need
scorebench and its plug-ins, no shared disk and no database.
"""

import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ...datasets.errors import UsageError
from .pools import LostWorker, Pool, Processes

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a scheduler which went away is waited for."""

# Tasks in reserve per worker process: the way to them is longer than within one machine.
_RESERVE = 2


class DaskPool(Pool):
    """Tasks go to a Dask scheduler; those that get lost on the way are ``LostWorker``.

    Args:
        scheduler: Address such as ``tcp://127.0.0.1:8786``; a cluster is started on this machine,
            reachable from nowhere else, if not given.
        workers: Size of that cluster; a cluster of others' has the size that it has.
        prepare: Done once in every process that runs tasks.

    Raises:
        UsageError: Dask is not installed, or there is no such scheduler.
    """

    def __init__(
        self,
        scheduler: str | None,
        workers: int,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        try:
            import distributed
        except ImportError as error:
            raise UsageError(
                "the backend dask is not installed: pip install 'scorebench[dask]'"
            ) from error
        self._prepare = prepare
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=50,
            )
            scheduler = self._cluster.scheduler_address
        self._address: str = scheduler
        self._lock = threading.Lock()
        self._client: Any = None
        self._connect()
        self.workers = max(workers if self._cluster else self._threads(), 1)
        self.capacity = (1 + _RESERVE) * self.workers

    def submit(self, task: Callable[[], T], seconds: float | None = None) -> "Future[T]":
        """Send the task to whichever worker is free."""
        outer: Future[T] = Future()
        try:
            client = self._ready()
            errand = _errand(task, seconds, self._prepare)
            inner = client.submit(pickle.loads, errand, pure=False, retries=0)
        except UsageError:
            raise
        except Exception:  # the connection broke between looking and sending
            outer.set_exception(LostWorker("the Dask scheduler went away"))
            return outer
        inner.add_done_callback(lambda done: _hand_over(done, outer))
        # Dask forgets what nobody holds.
        outer.dask = inner  # type: ignore[attr-defined]
        return outer

    def close(self, *, kill: bool) -> None:
        """Leave the cluster; one that was started here is stopped."""
        if self._client is not None:
            self._client.close(timeout=1 if kill else 10)
        if self._cluster is not None:
            self._cluster.close(timeout=1 if kill else 10)

    def _ready(self) -> Any:
        if self._client.status != "running":
            with self._lock:
                self._connect()
        return self._client

    def _connect(self) -> None:
        import distributed

        if self._client is not None:
            self._client.close(timeout=1)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._client = distributed.Client(  # type: ignore[no-untyped-call]
                    self._address, timeout=5, set_as_default=False
                )
                if self._threads():
                    break
                why = "it has no workers yet"
                self._client.close(timeout=1)
            except (OSError, ValueError, TimeoutError) as error:
                why = (str(error) or type(error).__name__).splitlines()[0]
            if time.monotonic() > end:
                raise UsageError(
                    f"the Dask scheduler at {self._address!r} cannot be used ({why}): "
                    "start it and its workers, then run the same command again to continue"
                )
            time.sleep(0.5)
        self._see_whether_workers_can()

    def _see_whether_workers_can(self) -> None:
        """Refuse a cluster on which every task would fail.

        Raises:
            UsageError: A worker has no scorebench.
        """
        probes = {
            address: self._client.submit(pickle.loads, _PROBE, workers=[address], pure=False)
            for address in self._client.nthreads()
        }
        for address, probe in probes.items():
            try:
                probe.result(timeout=PATIENCE)
            except ImportError as error:
                self.close(kill=True)
                raise UsageError(
                    f"the Dask worker {address} cannot run scorebench ({error}): install it in "
                    "the environment of the workers, then run the same command again"
                ) from error
            except Exception:  # noqa: S112 - it went away, which is dealt with when tasks are lost
                continue

    def _threads(self) -> int:
        return sum(self._client.nthreads().values())


class _Errand:
    """Unpickles to what comes of a call of ``_carry_out``.

    Dask's workers end themselves over a message that they cannot read, and a study would wait for
    them forever. Bytes they can always read, and what goes wrong then is the task's exception.
    """

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return _carry_out, self._arguments


def _errand(
    task: Callable[[], T], seconds: float | None, prepare: Callable[[], object] | None
) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(_Errand(task, seconds, prepare)))


def _hand_over(done: Any, outer: "Future[Any]") -> None:
    """Give a concurrent future what became of a Dask future."""
    try:
        if done.cancelled() or done.status == "lost":
            outer.set_exception(LostWorker("the Dask scheduler went away"))
            return
        error = done.exception()
        if error is None:
            outer.set_result(done.result())
        elif type(error).__module__.startswith(("distributed", "asyncio", "tornado")):
            outer.set_exception(LostWorker(str(error)))
        else:
            outer.set_exception(error)
    except Exception as problem:  # the connection broke while the result was fetched
        outer.set_exception(LostWorker(str(problem)))


# What follows happens on the cluster's workers.


def _here() -> None:
    """Can be called where scorebench is installed."""


_PROBE = pickle.dumps(_here)

_free: list[Processes] = []
_guard = threading.Lock()


def _carry_out(
    task: Callable[[], T], seconds: float | None, prepare: Callable[[], object] | None
) -> T:
    """Run a task in a process below this worker, which can be stopped or lost without it."""
    import multiprocessing

    # Dask's workers are daemons, which Python forbids to have children; these watch their parent.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    with _guard:
        pool = _free.pop() if _free else Processes(1, prepare)
    try:
        return pool.submit(task, seconds).result()
    finally:
        with _guard:
            _free.append(pool)
