"""The Python API: the commands as functions and methods, tables as DataFrames."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.errors import UsageError
from ..studies.specs.spec import StudySpec
from .session import cores, undisturbed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.figure import Figure

    from ..studies.certificate import Certificate
    from ..studies.execution.events import Listener
    from ..studies.stored_model import StoredModel
    from .progress import Steps
    from .source import Source


class Study:
    """A run directory of a finished, running or stopped study.

    Results are loaded and ranked on first use, and again when the run directory has changed.

    Args:
        directory: The run directory.

    Attributes:
        directory: The run directory.
        spec: The study.

    Raises:
        UsageError: It is not a run directory, or it cannot be read.
    """

    def __init__(self, directory: str | Path) -> None:
        from ..studies.rundir.read import read_study

        self.directory = Path(directory)
        self.spec: StudySpec = read_study(self.directory)
        self._loaded: tuple[object, Source] | None = None

    def __repr__(self) -> str:
        return f"Study({str(self.directory)!r})"

    def _repr_html_(self) -> str:
        """Return verdict and leaderboard for notebooks, or why there are none."""
        from html import escape

        from .write import leaderboard_table

        try:
            board = leaderboard_table(self.source)
        except UsageError as error:
            board = str(error)
        return f"<b>{escape(str(self.directory))}</b><pre>{escape(board)}</pre>"

    @property
    def source(self) -> "Source":
        """Everything that tables, figures and reports are made from."""
        from .source import load, stamp

        current = stamp(self.directory)
        if self._loaded is None or self._loaded[0] != current:
            self._loaded = current, load(self.directory)
        return self._loaded[1]

    @undisturbed
    def plot(self, name: str = "overview", width: float | None = None) -> "Figure":
        """Draw a figure of the report: ``overview``, ``budget-DATASET``, ``training-DATASET``, ...

        Args:
            name: Name of the figure.
            width: Width in inches (default: that of the report).

        Raises:
            UsageError: There is no such figure; the message suggests the nearest name.
        """
        from .figures.named import figure

        return figure(self.source, name, width)

    def sample(
        self,
        method: str,
        dataset: str,
        sampler: str | None = None,
        *,
        n: int = 10_000,
        seed: int = 0,
    ) -> "npt.NDArray[np.float32]":
        """Draw points from the best stored model of a method, shape (n, d)."""
        return self.model(method, dataset, sampler).sample(n, seed)

    def model(self, method: str, dataset: str, sampler: str | None = None) -> "StoredModel":
        """Return the best stored model: score, energy, density, samples, torch module, ONNX."""
        from ..studies.sample import model_of

        return model_of(self.directory, method, dataset, sampler)

    @property
    def results(self) -> "pd.DataFrame":
        """All runs so far, failed ones included, one row each."""
        return self.source.results.copy()

    @undisturbed
    def leaderboard(self) -> "pd.DataFrame":
        """Rank the methods on their confirmed runs, with intervals, best first."""
        from .ranking.leaderboard import board_frame

        return board_frame(self.source.evidence)

    @undisturbed
    def cells(self) -> "pd.DataFrame":
        """Return confirmed mean, interval, floor and oracle of each method on each dataset."""
        from .ranking.leaderboard import cell_frame

        return cell_frame(self.source.evidence)

    @undisturbed
    def verdict(self) -> str:
        """Say which method is best, by how much and with what certainty."""
        from .ranking.verdict import verdict

        return verdict(self.source.evidence)

    def status(self) -> "pd.DataFrame":
        """Return the progress of each cell."""
        from ..studies.progress import status

        return status(self.directory)

    @undisturbed
    def report(self, progress: "Steps" = lambda *_: None) -> Path:
        """Write ``report.html``, ``report.md`` and ``leaderboard.csv``; return the page's path.

        ``progress`` is called with each step: what begins, its number from 0, and the number of
        steps, 0 if that is not known.
        """
        from .write import write_report

        return write_report(self.source, progress)

    def best(self, method: str, dataset: str, sampler: str | None = None) -> StudySpec:
        """Return the winner as a study that trains only that; ``to_toml`` gives its file."""
        from ..studies.winners import best

        return best(self.directory, method, dataset, sampler)

    def export(self, out: str | Path | None = None) -> Path:
        """Export one replayable archive (default: ``DIRECTORY.zip``); return its path."""
        from ..studies.archive import export

        return export(self.directory, out)

    def cite(self) -> str:
        """Return the works behind the study as BibTeX."""
        from .publishing.citing import bibtex

        return bibtex(self.spec)

    @undisturbed
    def publish(
        self,
        out: str | Path | None = None,
        *,
        license: str = "CC-BY-4.0",  # noqa: A002
        authors: Sequence[str] = (),
        data_license: str = "",
    ) -> Path:
        """Write a folder to attach to a paper: see ``reports.publishing.publish``."""
        from .publishing.publish import publish

        target = None if out is None else Path(out)
        return publish(
            self.source, target, license=license, authors=authors, data_license=data_license
        )

    def certify(
        self,
        method: str | None = None,
        dataset: str | None = None,
        sampler: str | None = None,
        *,
        rows: float | None = None,
        workers: int = 1,
    ) -> "Certificate":
        """Replay rows: what reproduced, what did not, and what explains the difference."""
        from ..studies.certificate import certify

        return certify(self.directory, method, dataset, sampler, rows=rows, workers=workers)

    def replay(
        self,
        method: str | None = None,
        dataset: str | None = None,
        sampler: str | None = None,
        *,
        rows: float | None = None,
        workers: int = 1,
    ) -> "pd.DataFrame":
        """Run rows again; each metric is identical, within tolerance or differs."""
        from ..studies.replay import replay

        return replay(self.directory, method, dataset, sampler, rows=rows, workers=workers)


@undisturbed
def run(
    study: str | Path | StudySpec,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    overrides: Sequence[str] = (),
    listener: "Listener | None" = None,
    discard: Sequence[str] = (),
    retry: Sequence[str] = (),
    backend: str = "local",
    scheduler: str | None = None,
    storage: str | None = None,
    until_decided: bool = False,
    track: Sequence[str] = (),
    report: "Callable[[str], object] | None" = None,
) -> Study:
    """Run or resume a study and write its report; completed runs are skipped.

    Args:
        study: Name of a packaged study, path of a TOML file or of a run directory, or a study.
        out: Run directory (default: the one given as the study, else ``runs/NAME``).
        workers: Number of processes (default: all cores that this process may use).
        overrides: ``key=value`` pairs in TOML, such as ``"training.steps=500"``.
        listener: Called with every event of the study.
        discard: Patterns of cells (``"dsm-*"``) whose results may be excluded if they do not match.
        retry: Patterns of cells whose failed runs are run again; ``("*",)`` for all.
        backend: ``"local"``, or ``"dask"`` for a Dask cluster.
        scheduler: Address of the Dask scheduler (default: a local cluster is started).
        storage: Database URL for Optuna, ``"postgresql+psycopg://..."`` (default: a file).
        until_decided: Add restarts in rounds, up to ``decide.restarts``, until every pair of
            methods is decided or shown to differ by less than ``decide.difference``.
        track: Trackers that every run is reported to: ``"mlflow"``, ``"wandb"``, ``"trackio"``.
        report: Called with a sentence at each look at the results.

    Raises:
        UsageError: The study is invalid or does not match its run directory.
    """
    from ..studies.execution.where import Where
    from ..studies.specs.load import default_directory
    from ..studies.study import run as run_study
    from .trackers import Tracking

    if isinstance(study, StudySpec) and overrides:
        raise UsageError("overrides go with the name or path of a study, not with a StudySpec")
    spec = study if isinstance(study, StudySpec) else load_study(study, overrides)
    directory = default_directory(study, spec) if out is None else Path(out)
    workers = cores() if workers is None else workers
    for part in _rounds(spec, directory) if until_decided else [spec]:
        began = time.monotonic()
        with Tracking(track, listener) as told:
            run_study(
                part, directory, workers, told,
                discard=discard, retry=retry, where=Where(backend, scheduler), storage=storage,
            )  # fmt: skip
        retry = ()
        finished = Study(directory)
        if until_decided and _is_settled(finished, part, time.monotonic() - began, report):
            break
    finished.report(_steps_for(listener))
    return finished


def _steps_for(listener: "Listener | None") -> "Steps":
    """Tell a listener of the steps of the report."""
    from ..studies.execution.events import ReportStep

    if listener is None:
        return lambda *_: None
    return lambda *step: listener(ReportStep(*step))


def _rounds(spec: StudySpec, directory: Path) -> list[StudySpec]:
    """Give the study with more and more restarts, from where its run directory is."""
    from ..studies.rundir.read import STUDY, read_study
    from ..studies.specs.tables import Decide
    from .ranking.until_decided import rounds

    rule = spec.decide or Decide()
    there = read_study(directory).search.restarts if (directory / STUDY).exists() else 1
    further = [restarts for restarts in rounds(rule.restarts) if restarts >= there] or [there]
    searches = [spec.search.model_copy(update={"restarts": restarts}) for restarts in further]
    return [spec.model_copy(update={"search": search, "decide": rule}) for search in searches]


def _is_settled(
    study: Study, spec: StudySpec, seconds: float, report: "Callable[[str], object] | None"
) -> bool:
    """Report what is open after a round; whether nothing is left to do."""
    from .ranking.until_decided import look

    most = spec.decide.restarts if spec.decide is not None else 0
    sentence, settled = look(study.source.evidence.open, most, spec.search.restarts, seconds)
    if report is not None:
        report(sentence)
    return settled


@undisturbed
def load_study(name_or_path: str | Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read and check a study file or packaged study; nothing is run."""
    from ..studies.specs.load import load_study as load

    return load(name_or_path, overrides)


def status(directory: str | Path) -> "pd.DataFrame":
    """Return the progress of each cell of a run directory; see ``Study.status``."""
    return Study(directory).status()


def leaderboard(directory: str | Path) -> "pd.DataFrame":
    """Rank the methods of a run directory on confirmed runs; see ``Study.leaderboard``."""
    return Study(directory).leaderboard()


def report(directory: str | Path) -> Path:
    """Write the report of a run directory; see ``Study.report``."""
    return Study(directory).report()


def best(directory: str | Path, method: str, dataset: str, sampler: str | None = None) -> StudySpec:
    """Return the winner of a cell of a run directory; see ``Study.best``."""
    return Study(directory).best(method, dataset, sampler)


def export(directory: str | Path, out: str | Path | None = None) -> Path:
    """Export a run directory as one replayable archive; see ``Study.export``."""
    return Study(directory).export(out)
