"""Choose the machines that runs are executed on: this one, or those of a cluster."""

import importlib.util
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
        """Raise ``UsageError`` if the backend is unknown, not installed, or takes no scheduler."""
        if self.backend not in ("local", "dask"):
            raise unknown("backend", self.backend, ["local", "dask"])
        if self.scheduler is not None and self.backend != "dask":
            raise UsageError("--scheduler is for Dask clusters only: add --backend dask")
        if self.backend == "dask" and importlib.util.find_spec("distributed") is None:
            raise UsageError("the backend dask is not installed: pip install 'scorebench[dask]'")


def open_pool(
    workers: int,
    *,
    prepare: Callable[[], object] | None = None,
    isolated: bool = False,
    where: Where | None = None,
) -> Pool:
    """Open a pool of ``workers`` processes; one worker runs in this process unless ``isolated``.

    Every new process calls ``prepare`` once, before any time is counted. A single worker that is
    isolated can be stopped.

    Raises:
        UsageError: The cluster cannot be reached.
    """
    if where is not None and where.backend == "dask":
        # Dask is an optional dependency.
        from .dask_pool import DaskPool

        return DaskPool(where.scheduler, workers, prepare)
    alone = workers == 1 and not isolated
    return InProcess(prepare) if alone else Processes(workers, prepare)
