"""The content of a run directory: study, results, environments, samples, fields and curves."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..datasets.errors import UsageError
from ..studies.cell import Cell
from ..studies.engine import Engine
from ..studies.results import read_results
from ..studies.rundir.artifacts import read_artifact
from ..studies.rundir.read import (
    ENVIRONMENT,
    ROWS,
    STUDY,
    read_environments,
    read_retried,
    read_study,
)
from ..studies.rundir.rows import Row
from ..studies.specs.entries import Choices, ends
from ..studies.specs.spec import StudySpec
from .ranking.budget import budget_sentences, budgets
from .ranking.cell_results import CellResults
from .ranking.evidence import Evidence, gather
from .ranking.pairs import Pair, pairs
from .ranking.samplers import SamplerBoard, sampler_board
from .ranking.searchers import contest, of_first
from .ranking.sensitivity import Slice, sensitivity, slices
from .ranking.statistics import Array

if TYPE_CHECKING:
    from ..datasets.base import Dataset

Points = NDArray[np.floating]

_TRUTH_SEED = 0
_MOST_POINTS = 50_000


@dataclass(frozen=True)
class Portrait:
    """The data of the four panels of a cell, in coordinates whose origin is ``centre``.

    Attributes:
        truth: Points of the true distribution, shape (m, 2); ``None`` if it cannot be drawn.
        samples: Confirmed samples, all seeds, shape (n, 2); may hold non-finite points.
        energy: E(x) on a grid over the view, shape (g, g), rows along the second coordinate;
            ``None`` for a network that gives the score directly.
        score: Scores on a coarse grid over the view, shape (q, q, 2).
        paths: Paths of some chains of the sampler, shape (places, chains, 2); ``None`` for
            samplers without chains.
        extent: The view is [-extent, extent]².
        centre: Middle of the view in the coordinates of the data.
    """

    truth: Points | None
    samples: Points | None
    energy: Points | None
    score: Points | None
    paths: Points | None
    extent: float
    centre: tuple[float, ...] = (0.0, 0.0)

    @property
    def not_finite(self) -> int:
        """Number of samples with a coordinate that is ``nan`` or infinite."""
        return 0 if self.samples is None else int((~np.isfinite(self.samples).all(axis=1)).sum())

    @property
    def outside(self) -> int:
        """Number of finite samples outside the view."""
        if self.samples is None:
            return 0
        finite = self.samples[np.isfinite(self.samples).all(axis=1)]
        return int((np.abs(finite) > self.extent).any(axis=1).sum())

    @property
    def view(self) -> str:
        """The view in words."""
        place = ", ".join(f"{coordinate:g}" for coordinate in self.centre)
        return f"view ±{self.extent:g}" + (f" around ({place})" if any(self.centre) else "")

    @property
    def census(self) -> str:
        """Number of samples, and of those that the picture leaves out, in words."""
        if self.samples is None:
            return "no confirmed samples"
        hidden = f"{self.outside} outside the view, {self.not_finite} not finite"
        return f"{len(self.samples)} samples: {hidden}"


@dataclass(frozen=True)
class Learned:
    """Training curves and checkpoints of the confirmed runs of a cell.

    Attributes:
        curves: Step, training loss and norm of its gradient, shape (seeds, points, 3).
        least: Smallest possible expected loss; ``nan`` if it is not known.
        names: Metrics that were measured at checkpoints.
        checkpoints: Step and each metric of a small sample, shape (seeds, c, 1 + names).
    """

    curves: Array
    least: float
    names: tuple[str, ...]
    checkpoints: Array

    @property
    def excess(self) -> float:
        """Mean loss over the last tenth of training minus the smallest possible loss."""
        points = self.curves.shape[1]
        end = self.curves[:, points - max(1, points // 10) :, 1]
        return float(end.mean()) - self.least

    def metric(self, name: str) -> Array:
        """Return step and one metric, shape (seeds, c, 2); empty if it was not measured."""
        if name not in self.names:
            return np.zeros((len(self.curves), 0, 2))
        return self.checkpoints[..., [0, 1 + self.names.index(name)]]


@dataclass(frozen=True)
class Source:
    """A run directory, loaded: the input of every table, figure and page.

    Attributes:
        directory: The run directory.
        study: The study.
        results: One row per finished run.
        environment: Machines and packages of the runs; empty if they are not recorded.
    """

    directory: Path
    study: StudySpec
    results: pd.DataFrame = field(repr=False)
    environment: dict[str, Any] = field(repr=False)

    @property
    def planned(self) -> list[Cell]:
        """Every cell of the study."""
        return [
            Cell(method.label, dataset.label, sampler.label)
            for method in self.study.methods
            for dataset in self.study.datasets
            for sampler in self.study.samplers
        ]

    @cached_property
    def evidence(self) -> Evidence:
        """The results as ranked cells and contestants, those of the first searcher."""
        results = of_first(self.results)
        return gather(results, self.study.objective, self.planned, self.study.decide)

    @cached_property
    def contests(self) -> dict[int, Evidence]:
        """The searchers as contestants, by number of trials; empty if there is only one."""
        return contest(self.results, self.study)

    @cached_property
    def samplers(self) -> SamplerBoard | None:
        """The samplers as contestants, by evaluations; None if models are learned."""
        return sampler_board(of_first(self.results), self.study)

    @cached_property
    def doubts(self) -> list[str]:
        """What does not fit the study, then what could not be checked; a sentence each.

        Nothing is trained: see ``studies.stored_files.check_directory``.
        """
        from ..studies.stored_files import doubts

        return doubts(self.directory, self.study)

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of ranked contestants."""
        return pairs(self.evidence)

    @cached_property
    def budgets(self) -> list[str]:
        """Best contestants by budget, one sentence per budget."""
        return budget_sentences(self.evidence, budgets(self.evidence, self.independent))

    @cached_property
    def slices(self) -> dict[Cell, list[Slice]]:
        """The trials of each cell by hyperparameter."""
        return {results.cell: slices(self.study, results) for results in self.evidence.cells}

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """Importance and edges of all hyperparameters."""
        return sensitivity(self.evidence, self.slices)

    @cached_property
    def retried(self) -> list[Row]:
        """Failed runs that were set aside and run again."""
        return read_retried(self.directory)

    def portrait(self, results: CellResults) -> Portrait | None:
        """Load what the four panels of a cell show.

        ``None`` if the data are not two-dimensional, or the cell has no samples yet.
        """
        samples = self.samples(results)
        fields = _arrays(self.directory / "fields" / f"{results.cell.stem}.npz")
        if samples is None or samples.ndim != 2 or samples.shape[1] != 2:
            return None
        from ..datasets.box import box_of

        dataset = self.dataset(results.dataset)
        extent, centre = fields.get("extent"), fields.get("centre", np.zeros(2))
        if extent is None:
            extent = np.asarray(4.0 if dataset is None else dataset.extent)
            centre = np.zeros(2) if dataset is None else box_of(dataset).centre.numpy()
        truth = self.truth(dataset, len(samples))

        def near(points: Points | None) -> Points | None:
            return points - centre if points is not None and centre.any() else points

        return Portrait(
            near(truth),
            near(samples),
            fields.get("energy"),
            fields.get("score"),
            near(fields.get("paths")),
            float(extent),
            tuple(centre.tolist()),
        )

    def samples(self, results: CellResults) -> Points | None:
        """Load the samples of the confirmation runs of a cell, shape (n, d); None without any."""
        return _arrays(self.directory / "samples" / f"{results.cell.stem}.npz").get("samples")

    @property
    def independent(self) -> bool:
        """Whether the trials of a search are independent: drawn at random."""
        return self.study.search.sampler[0].name == "random"

    def curves(self, dataset: str) -> dict[str, dict[str, Points]]:
        """Load the arrays of ``curves/`` on a dataset by label of the contestant, best first."""
        cells = {c.label: c.cells[dataset] for c in self.evidence.contestants}
        return {
            label: _arrays(self.directory / "curves" / f"{results.cell.stem}.npz")
            for label, results in cells.items()
            if not results.missing
        }

    def training(self, dataset: str) -> dict[str, Learned]:
        """Load the training curves of the confirmed runs on a dataset, as far as stored."""
        return {
            label: Learned(
                arrays["curves"].astype(np.float64),
                float(arrays["least"]),
                tuple(map(str, arrays["names"])),
                arrays["checkpoints"].astype(np.float64),
            )
            for label, arrays in self.curves(dataset).items()
            if "curves" in arrays and arrays["curves"].shape[1]
        }

    def dataset(self, label: str) -> "Dataset | None":
        """Return a dataset of the study; ``None`` if its plug-in is not available."""
        from ..bench.data_files import provide
        from ..datasets import get_dataset

        provide(self.study.data)
        entry = next((e for e in self.study.datasets if e.label == label), None)
        try:
            settings = {} if entry is None else entry.settings
            options = {
                name: leaf.choices if isinstance(leaf, Choices) else leaf
                for name, leaf in settings.items()
            }
            return get_dataset(label if entry is None else entry.name, **options)
        except UsageError:
            return None

    @cached_property
    def notes_on_data(self) -> list[str]:
        """What a reader should know of finite datasets, one sentence each."""
        from ..bench.truth import words_on

        notes = []
        for entry in self.study.datasets:
            # Others are distributions, which need not be imported.
            dataset = self.dataset(entry.label) if Engine().finite(entry.name) else None
            if dataset is not None:
                asked = max(map(int, ends(self.study.training.points)))  # type: ignore[arg-type]
                words = words_on(dataset, asked, self.study.evaluation.samples)
                notes += [f"{entry.label}: {sentence}." for sentence in words]
        return notes

    def truth(self, dataset: "Dataset | None", points: int) -> Points | None:
        """Draw a sample of a dataset, of its test part; none if its plug-in is missing."""
        import torch

        if dataset is None:
            return None
        generator = torch.Generator().manual_seed(_TRUTH_SEED)
        return dataset.part("test").upto(min(points, _MOST_POINTS), generator).numpy()


def load(directory: str | Path, *, whole: bool = True) -> Source:
    """Read a run directory of a finished or unfinished study, without changing it.

    Args:
        directory: A run directory.
        whole: See ``read_results``; reports and leaderboards do without the rest.

    Raises:
        UsageError: It is not a run directory, or it cannot be read.
    """
    folder = Path(directory)
    results = read_results(folder, whole=whole)
    return Source(folder, read_study(folder), results, read_environments(folder))


def stamp(directory: Path) -> tuple[tuple[int, int], ...]:
    """Return size and time of change of the files that ``load`` reads; (0, 0) if missing.

    Args:
        directory: A run directory. While its study runs, its stamp changes.
    """
    stamps = []
    for name in (STUDY, ROWS, ENVIRONMENT):
        try:
            status = (directory / name).stat()
        except OSError:
            stamps.append((0, 0))
        else:
            stamps.append((status.st_size, status.st_mtime_ns))
    return tuple(stamps)


def _arrays(path: Path) -> dict[str, Points]:
    """Return the arrays of a file; none if there is no such file, or it is damaged.

    Damaged files are named by the check of the run directory.
    """
    try:
        return cast("dict[str, Points]", read_artifact(path))
    except (OSError, UsageError):
        return {}
