"""On which machines runs are carried out: this one, or those of a cluster."""

from collections.abc import Callable
from typing import NamedTuple

from ...datasets.errors import UsageError, unknown
from .pools import InProcess, Pool, Processes


class Where(NamedTuple):
    """Where runs are carried out. No result depends on it.

    Attributes:
        backend: ``local``: processes of this machine; ``dask``: a Dask cluster.
        scheduler: Address of the cluster; one is started on this machine unless given.
    """

    backend: str = "local"
    scheduler: str | None = None

    def check(self) -> None:
        """See whether it makes sense.

        Raises:
            UsageError: It does not.
        """
        if self.backend not in ("local", "dask"):
            raise unknown("backend", self.backend, ["local", "dask"])
        if self.scheduler is not None and self.backend != "dask":
            raise UsageError("--scheduler is the address of a Dask cluster: add --backend dask")


def open_pool(
    workers: int,
    *,
    prepare: Callable[[], object] | None = None,
    apart: bool = False,
    where: Where | None = None,
) -> Pool:
    """A pool of ``workers`` processes, or this process for one.

    Args:
        workers: Tasks that are carried out at a time.
        prepare: Done once in every new process, before any time is counted.
        apart: Even one worker gets a process of its own, which can be stopped.
        where: On which machines; on this one unless given.

    Raises:
        UsageError: The cluster cannot be reached.
    """
    if where is not None and where.backend == "dask":
        # Dask is an extra.
        from .dask_pool import DaskPool

        return DaskPool(where.scheduler, workers, prepare)
    return InProcess() if workers == 1 and not apart else Processes(workers, prepare)
