"""A pool of workers on a Dask cluster, which may be started on this machine.

Dask only transports tasks. Each Dask worker runs a task in a separate process, as the local pool
does, so time limits and lost processes are handled the same way. Workers need scorebench and its
plug-ins, but no shared disk and no database.
"""

import importlib
import pickle
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ...datasets.errors import UsageError
from .pools import LostWorkerError, Pool, Processes

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds to wait for a scheduler that does not respond."""

# Queued tasks per worker: more than on one machine, since the way to the workers is longer.
_RESERVE = 2


class DaskPool(Pool):
    """Workers of a Dask cluster; tasks that are lost on the way raise ``LostWorkerError``.

    Args:
        scheduler: Address such as ``tcp://127.0.0.1:8786`` (default: start a cluster on this
            machine that other machines cannot reach).
        workers: Size of a cluster that is started here.
        prepare: Called once in every process that runs tasks.

    If Dask's configuration has TLS files, all connections are encrypted and authenticated.

    Raises:
        UsageError: Dask's TLS files cannot be used or are not those that the address needs, or the
            scheduler cannot be reached.
    """

    def __init__(
        self, scheduler: str | None, workers: int, prepare: Callable[[], object] | None = None
    ) -> None:
        # Imported by name, since the module has no type annotations.
        self._distributed = importlib.import_module("distributed")
        self._prepare = prepare
        self._security = _security(self._distributed, scheduler)
        # Where a cluster that is started here puts its files; Dask's own place is in /tmp.
        self._scratch = tempfile.TemporaryDirectory(prefix="scorebench-")
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = self._distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tcp://" if self._security is None else "tls://",
                security=self._security,
                dashboard_address=None,
                local_directory=self._scratch.name,
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
        """Send the task to a free worker."""
        future: Future[T] = Future()
        try:
            client = self._connected()
            message = _message(task, seconds, self._prepare)
            dask_future = client.submit(pickle.loads, message, pure=False, retries=0)
        except UsageError:
            raise
        except Exception:  # the connection broke after it was checked
            future.set_exception(LostWorkerError("the Dask scheduler is gone"))
            return future
        dask_future.add_done_callback(lambda done: _copy(done, future))
        # Dask cancels a task whose future is garbage-collected: keep both alive together.
        future.dask = dask_future  # type: ignore[attr-defined]
        return future

    def close(self, *, kill: bool) -> None:
        """Disconnect from the cluster, and stop it if it was started here."""
        for part in (self._client, self._cluster):
            # Slow to stop is no failure of the study: its workers are children, and end with it.
            with suppress(TimeoutError):
                if part is not None:
                    part.close(timeout=1 if kill else 10)
        self._scratch.cleanup()

    def _connected(self) -> Any:
        """Return the client; connect again if the connection is lost."""
        if self._client.status != "running":
            with self._lock:
                self._connect()
        return self._client

    def _connect(self) -> None:
        if self._client is not None:
            self._client.close(timeout=1)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._client = self._distributed.Client(
                    self._address, timeout=5, set_as_default=False, security=self._security
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
        self._check_workers()

    def _check_workers(self) -> None:
        """Refuse a cluster on which every task would fail.

        Raises:
            UsageError: A worker cannot import scorebench.
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
            except Exception:  # noqa: S112 - the worker is gone; its tasks become LostWorkerError
                continue

    def _threads(self) -> int:
        return sum(self._client.nthreads().values())


def _security(distributed: Any, address: str | None) -> Any:
    """Return the TLS files of Dask's configuration; None without them.

    Raises:
        UsageError: They cannot be used, or do not fit the address of the scheduler.
    """
    security = distributed.security.Security()
    given = security.tls_ca_file is not None
    try:
        if address is not None:
            _check_port(distributed.comm.get_address_host_port(address)[1])
        security.get_connection_args("client")
    except (OSError, ValueError) as error:
        what = f"the address of the Dask scheduler, {address!r}, is invalid"
        if isinstance(error, OSError):
            what = "the TLS files of Dask's configuration (distributed.comm.tls) cannot be used"
        raise UsageError(f"{what}: {error}") from error
    encrypted = address is None or address.startswith(("tls://", "wss://"))
    if given and not encrypted:
        raise UsageError(
            f"Dask's configuration has TLS files, and {address!r} is not encrypted: give tls://..."
        )
    if not given and (security.require_encryption or (address is not None and encrypted)):
        raise UsageError(
            "Dask's configuration has no TLS files: set distributed.comm.tls.ca-file and the "
            "certificate and key of the client (https://distributed.dask.org/en/stable/tls.html)"
        )
    return security if given else None


def _check_port(port: int | None) -> None:
    if not 0 < (port or 1) <= 65535:
        raise ValueError(f"{port} is no port, which is a number from 1 to 65535")


class _Call:
    """A call of ``_execute`` that is made when it is unpickled, and unpickles to its result.

    A Dask worker stops when it cannot read a message, and a study would wait for it forever. It can
    always read bytes; if unpickling them fails, that is an exception of the task.
    """

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _execute, self._arguments


def _message(
    task: Callable[[], T], seconds: float | None, prepare: Callable[[], object] | None
) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(_Call(task, seconds, prepare)))


def _copy(dask_future: Any, future: "Future[Any]") -> None:
    """Set a future to the outcome of a Dask future."""
    try:
        if dask_future.cancelled() or dask_future.status == "lost":
            future.set_exception(LostWorkerError("the Dask scheduler is gone"))
            return
        error = dask_future.exception()
        if error is None:
            future.set_result(dask_future.result())
        elif type(error).__module__.startswith(("distributed", "asyncio", "tornado")):
            future.set_exception(LostWorkerError(str(error)))
        else:
            future.set_exception(error)
    except Exception as problem:  # the connection broke while the result was fetched
        future.set_exception(LostWorkerError(str(problem)))


# The functions below run on the cluster's workers.


def _do_nothing() -> None:
    """Test whether a worker can import scorebench."""


_PROBE = pickle.dumps(_do_nothing)

_idle_pools: list[Processes] = []
_idle_lock = threading.Lock()


def _execute(
    task: Callable[[], T], seconds: float | None, prepare: Callable[[], object] | None
) -> T:
    """Run a task in a child process, which can be stopped or lost without its Dask worker."""
    import multiprocessing

    # Dask's workers are daemons, which Python does not allow to have children, and there is no
    # public way to change that. The children end with their parent.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    with _idle_lock:
        pool = _idle_pools.pop() if _idle_pools else Processes(1, prepare)
    try:
        return pool.submit(task, seconds).result()
    finally:
        with _idle_lock:
            _idle_pools.append(pool)
