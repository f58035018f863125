"""Choose the machines that runs are executed on: this one, or those of a cluster."""

from collections.abc import Callable
from typing import NamedTuple

from ...datasets.errors import UsageError, unknown
from .pools import InProcess, Pool, Processes


class Where(NamedTuple):
    """The machines that runs are executed on. No result depends on them.

    Attributes:
        backend: ``local``: processes of this machine; ``dask``: a Dask cluster.
        scheduler: Address of the cluster (default: start one on this machine).
    """

    backend: str = "local"
    scheduler: str | None = None

    def check(self) -> None:
        """Check that the fields fit together.

        Raises:
            UsageError: The backend is unknown, or takes no scheduler.
        """
        if self.backend not in ("local", "dask"):
            raise unknown("backend", self.backend, ["local", "dask"])
        if self.scheduler is not None and self.backend != "dask":
            raise UsageError("--scheduler is for Dask clusters only: add --backend dask")


def open_pool(
    workers: int,
    *,
    prepare: Callable[[], object] | None = None,
    isolated: bool = False,
    where: Where | None = None,
) -> Pool:
    """Open a pool of ``workers`` processes; one worker runs in this process unless ``isolated``.

    Args:
        workers: Number of tasks at a time.
        prepare: Called once in every new process, before any time is counted.
        isolated: Give even a single worker its own process, which can be stopped.
        where: Machines to run on (default: this one).

    Raises:
        UsageError: The cluster cannot be reached.
    """
    if where is not None and where.backend == "dask":
        # Dask is an optional dependency.
        from .dask_pool import DaskPool

        return DaskPool(where.scheduler, workers, prepare)
    return InProcess() if workers == 1 and not isolated else Processes(workers, prepare)
