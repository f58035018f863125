"""The verbs of scorebench in Python: the same as on the command line, tables as DataFrames."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.errors import UsageError
from ..studies.specs.spec import StudySpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.figure import Figure

    from ..studies.certificate import Certificate
    from ..studies.execution.events import Listener


class Study:
    """A study's run directory: what was found, whether the study is finished or not.

    Args:
        directory: The run directory; it has to hold a study.

    Raises:
        UsageError: It does not.
    """

    def __init__(self, directory: str | Path) -> None:
        from ..studies.rundir.read import read_study

        self.directory = Path(directory)
        self.spec: StudySpec = read_study(self.directory)

    def __repr__(self) -> str:
        return f"Study({str(self.directory)!r})"

    def _repr_html_(self) -> str:
        """What notebooks show: the verdict and the board; how far it is before there is one."""
        from html import escape

        from .write import leaderboard_table

        try:
            board = leaderboard_table(self.directory, "table")
        except UsageError as error:
            board = str(error)
        return f"<b>{escape(str(self.directory))}</b><pre>{escape(board)}</pre>"

    def plot(self, name: str = "overview", width: float | None = None) -> "Figure":
        """One figure of the report: ``overview``, ``budget-DATASET``, ``training-DATASET``, ...

        Raises:
            UsageError: There is no such figure; the nearest is suggested.
        """
        from .figures.named import figure
        from .source import load

        return figure(load(self.directory), name, width)

    def sample(
        self,
        method: str,
        dataset: str,
        sampler: str | None = None,
        *,
        n: int = 10_000,
        seed: int = 0,
    ) -> "npt.NDArray[np.float32]":
        """Points from the best stored model of a method, shape (n, d)."""
        from ..studies.sample import sample

        return sample(self.directory, method, dataset, sampler, n=n, seed=seed)

    @property
    def results(self) -> "pd.DataFrame":
        """Every run so far, failures too, one row each."""
        from ..studies.results import read_results

        return read_results(self.directory)

    def leaderboard(self) -> "pd.DataFrame":
        """Methods ranked on their confirmed runs, with intervals; best first."""
        from .ranking.leaderboard import board_frame
        from .source import load

        return board_frame(load(self.directory).evidence)

    def cells(self) -> "pd.DataFrame":
        """Confirmed mean, interval, floor and oracle of each method on each dataset."""
        from .ranking.leaderboard import cell_frame
        from .source import load

        return cell_frame(load(self.directory).evidence)

    def verdict(self) -> str:
        """Which method is better, by how much and how sure that is, in words."""
        from .ranking.verdict import verdict
        from .source import load

        return verdict(load(self.directory).evidence)

    def status(self) -> "pd.DataFrame":
        """How far each cell is."""
        from ..studies.progress import status

        return status(self.directory)

    def report(self) -> Path:
        """Write ``report.html`` and ``leaderboard.csv``; the path of the page."""
        from .write import write_report

        return write_report(self.directory)

    def best(self, method: str, dataset: str, sampler: str | None = None) -> StudySpec:
        """The winning configuration as a study that trains just that; ``to_toml`` writes it."""
        from ..studies.winners import best

        return best(self.directory, method, dataset, sampler)

    def export(self, out: str | Path | None = None) -> Path:
        """Write one archive that others can replay, ``<name of the directory>.zip``; its path."""
        from ..studies.archive import export

        return export(self.directory, out)

    def certify(
        self,
        method: str | None = None,
        dataset: str | None = None,
        sampler: str | None = None,
        *,
        workers: int = 1,
    ) -> "Certificate":
        """Replay best configurations: what came back, what did not, and what explains it."""
        from ..studies.certificate import certify

        return certify(self.directory, method, dataset, sampler, workers=workers)

    def replay(
        self,
        method: str | None = None,
        dataset: str | None = None,
        sampler: str | None = None,
        *,
        workers: int = 1,
    ) -> "pd.DataFrame":
        """Train best configurations again: identical, within tolerance or differs, per metric."""
        from ..studies.replay import replay

        return replay(self.directory, method, dataset, sampler, workers=workers)


def run(
    study: str | Path | StudySpec,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    overrides: Sequence[str] = (),
    listener: "Listener | None" = None,
    discard: Sequence[str] = (),
    backend: str = "local",
    scheduler: str | None = None,
    storage: str | None = None,
) -> Study:
    """Run a study, or what is missing of it, and write its report.

    Args:
        study: Name of a packaged study, path of a TOML file, or a study.
        out: Run directory; ``runs/<name of the study>`` unless given.
        workers: Processes; as many as this process may use cores unless given.
        overrides: ``key=value`` pairs in TOML, such as ``"training.steps=500"``.
        listener: Told what happens on the way.
        discard: Patterns of cells (``"dsm-rings-langevin"``, ``"dsm-*"``) whose results may be set
            aside where they do not fit the study any more.
        backend: ``"local"``, or ``"dask"`` for the machines of a Dask cluster.
        scheduler: Address of the cluster; one is started on this machine unless given.
        storage: Database for Optuna, ``"postgresql+psycopg://..."``; a file in the run directory
            unless given.

    Raises:
        UsageError: Something in the study or its directory cannot be; one line says what.
    """
    from ..studies.execution.where import Where
    from ..studies.specs.load import load_study
    from ..studies.study import run as run_study

    if isinstance(study, StudySpec):
        if overrides:
            raise UsageError("overrides go with the name or path of a study, not with a StudySpec")
        spec = study
    else:
        spec = load_study(study, overrides)
    directory = Path(out) if out is not None else Path("runs") / spec.name
    workers = cores() if workers is None else workers
    where = Where(backend, scheduler)
    run_study(spec, directory, workers, listener, discard=discard, where=where, storage=storage)
    found = Study(directory)
    found.report()
    return found


def load_study(name_or_path: str | Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read a study file or packaged study and check it, without running anything."""
    from ..studies.specs.load import load_study as load

    return load(name_or_path, overrides)


def status(directory: str | Path) -> "pd.DataFrame":
    """How far each cell of a run directory is; see ``Study.status``."""
    return Study(directory).status()


def leaderboard(directory: str | Path) -> "pd.DataFrame":
    """Methods of a run directory ranked on their confirmed runs; see ``Study.leaderboard``."""
    return Study(directory).leaderboard()


def report(directory: str | Path) -> Path:
    """Write the report of a run directory; see ``Study.report``."""
    return Study(directory).report()


def best(directory: str | Path, method: str, dataset: str, sampler: str | None = None) -> StudySpec:
    """Winning configuration of a cell of a run directory; see ``Study.best``."""
    return Study(directory).best(method, dataset, sampler)


def replay(
    source: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    workers: int = 1,
    trust: bool = False,
) -> "pd.DataFrame":
    """Train best configurations again, of a run directory or of an archive of one.

    Args:
        source: The directory, or what ``export`` wrote.
        method: Label of the method; all if not given. So are ``dataset`` and ``sampler``.
        dataset: Label of the dataset.
        sampler: Label of the sampler.
        workers: Processes to run in.
        trust: Run the code that an archive brings along.

    Returns:
        Stored and replayed value and verdict, per metric of each run.
    """
    from ..studies.replay import replay

    return replay(source, method, dataset, sampler, workers=workers, trust=trust)


def certify(
    source: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    workers: int = 1,
    trust: bool = False,
) -> "Certificate":
    """What ``replay`` finds as a certificate, which also says what explains it."""
    from ..studies.certificate import certify

    return certify(source, method, dataset, sampler, workers=workers, trust=trust)


def export(directory: str | Path, out: str | Path | None = None) -> Path:
    """Write one archive of a run directory that others can replay; see ``Study.export``."""
    return Study(directory).export(out)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
