"""A run directory, read: the study, its rows so far, its environment, samples and fields."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..datasets.errors import UsageError
from ..studies.cell import Cell
from ..studies.results import read_results
from ..studies.rundir.read import read_environments, read_study
from ..studies.specs.spec import StudySpec
from .ranking.budget import budget_sentences, budgets
from .ranking.cell_results import CellResults
from .ranking.evidence import Evidence, gather
from .ranking.pairs import Pair, pairs
from .ranking.sensitivity import sensitivity
from .ranking.statistics import Array

if TYPE_CHECKING:
    from ..datasets.base import Dataset

Points = NDArray[np.floating]

_TRUTH_SEED = 0
_MOST_POINTS = 50_000


@dataclass(frozen=True)
class Portrait:
    """What the four panels show.

    Attributes:
        truth: Points of the true distribution, shape (m, 2); ``None`` if it cannot be drawn.
        samples: Confirmed samples, all seeds, shape (n, 2); may hold non-finite points.
        energy: E(x) on the grid over the view, shape (g, g), rows along the second coordinate;
            ``None`` for a network that gives the score directly.
        score: Scores on a coarse grid over the view, shape (q, q, 2).
        paths: Where some chains of the sampler went, shape (places, chains, 2); ``None`` for
            samplers without chains.
        extent: The view is [-extent, extent]².
    """

    truth: Points | None
    samples: Points | None
    energy: Points | None
    score: Points | None
    paths: Points | None
    extent: float

    @property
    def not_finite(self) -> int:
        """Samples with a coordinate that is not a number or infinite."""
        return 0 if self.samples is None else int((~np.isfinite(self.samples).all(axis=1)).sum())

    @property
    def outside(self) -> int:
        """Finite samples beyond the view, which no panel can show."""
        if self.samples is None:
            return 0
        finite = self.samples[np.isfinite(self.samples).all(axis=1)]
        return int((np.abs(finite) > self.extent).any(axis=1).sum())

    @property
    def census(self) -> str:
        """What the picture of the samples leaves out, in words."""
        if self.samples is None:
            return "no confirmed samples"
        hidden = f"{self.outside} outside the view, {self.not_finite} not finite"
        return f"{len(self.samples)} samples: {hidden}"


@dataclass(frozen=True)
class Learned:
    """How the confirmed runs of one cell learned.

    Attributes:
        curves: Step, loss and norm of its gradient, shape (seeds, points, 3).
        least: The least expected loss there can be; ``nan`` where it is not known.
        names: Metrics that were measured on the way.
        checkpoints: Step and each metric of a small sample, shape (seeds, c, 1 + names).
    """

    curves: Array
    least: float
    names: tuple[str, ...]
    checkpoints: Array

    @property
    def excess(self) -> float:
        """Mean loss over the last tenth of training minus the least there can be."""
        points = self.curves.shape[1]
        end = self.curves[:, points - max(1, points // 10) :, 1]
        return float(end.mean()) - self.least

    def metric(self, name: str) -> Array:
        """Step and one metric, shape (seeds, c, 2); empty if it was not measured."""
        if name not in self.names:
            return np.zeros((len(self.curves), 0, 2))
        return self.checkpoints[..., [0, 1 + self.names.index(name)]]


@dataclass(frozen=True)
class Source:
    """What a report is made from.

    Attributes:
        directory: The run directory.
        study: What was asked for.
        results: One row per run that has ended.
        environment: What it ran on; empty if the directory does not say.
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
        """The results, sorted and ranked."""
        return gather(self.results, self.study.objective, self.planned)

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of ranked contestants."""
        return pairs(self.evidence)

    @cached_property
    def budgets(self) -> list[str]:
        """Best contestants by budget, one sentence per budget."""
        return budget_sentences(self.evidence, budgets(self.evidence, self.independent))

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """Importance and edges of all hyperparameters."""
        return sensitivity(self.study, self.evidence)

    def portrait(self, cell: CellResults) -> Portrait | None:
        """What the four panels of a cell show; ``None`` outside the plane or before its end.

        Args:
            cell: Which one.
        """
        name = f"{cell.cell.stem}.npz"
        samples = _arrays(self.directory / "samples" / name).get("samples")
        fields = _arrays(self.directory / "fields" / name)
        if samples is None or samples.ndim != 2 or samples.shape[1] != 2:
            return None
        extent, truth = self._truth(cell.dataset, min(len(samples), _MOST_POINTS))
        return Portrait(
            truth,
            samples,
            fields.get("energy"),
            fields.get("score"),
            fields.get("paths"),
            float(fields.get("extent", extent)),
        )

    @property
    def independent(self) -> bool:
        """Whether the trials of a search were drawn at random, without learning from each other."""
        return self.study.search.sampler == "random"

    def training(self, dataset: str) -> dict[str, Learned]:
        """How the confirmed runs on a dataset learned, as far as it was kept.

        Args:
            dataset: Which.

        Returns:
            By label of the contestant, best first.
        """
        found = {}
        for contestant in self.evidence.contestants:
            cell = contestant.cells[dataset]
            kept = _arrays(self.directory / "curves" / f"{cell.cell.stem}.npz")
            if "curves" in kept and kept["curves"].shape[1] and not cell.missing:
                found[contestant.label] = Learned(
                    kept["curves"].astype(np.float64),
                    float(kept["least"]),
                    tuple(map(str, kept["names"])),
                    kept["checkpoints"].astype(np.float64),
                )
        return found

    def _dataset(self, label: str) -> "Dataset | None":
        """A dataset of the study; none if its plug-in is gone."""
        from ..datasets import get_dataset

        entry = next((e for e in self.study.datasets if e.label == label), None)
        try:
            options = {} if entry is None else dict(entry.settings)
            return get_dataset(label if entry is None else entry.name, **options)
        except UsageError:
            return None

    def _truth(self, label: str, points: int) -> tuple[float, Points | None]:
        """Extent of a dataset and a sample of it; no sample if its plug-in is gone."""
        import torch

        dataset = self._dataset(label)
        if dataset is None:
            return 4.0, None
        if dataset.dim != 2:
            return dataset.extent, None
        generator = torch.Generator().manual_seed(_TRUTH_SEED)
        return dataset.extent, dataset.sample(points, generator).numpy()


def load(directory: str | Path) -> Source:
    """Read a run directory, finished or not; nothing in it is changed.

    Args:
        directory: Where ``scorebench run`` wrote.

    Raises:
        UsageError: It is no run directory, or it cannot be read.
    """
    folder = Path(directory)
    study = read_study(folder)
    return Source(folder, study, read_results(folder), read_environments(folder))


def _arrays(path: Path, *names: str) -> dict[str, Points]:
    """Arrays of a file, all unless some are named; what is not there is left out."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if not names or name in names}
