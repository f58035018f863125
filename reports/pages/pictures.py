"""Pictures of the report with captions and alternative texts, embedded as data URIs."""

import math
from collections.abc import Iterator, Mapping
from functools import partial

from .. import text
from ..figures.clouds import cloud
from ..figures.named import figures
from ..figures.overview import overview
from ..ranking.cell_results import CellResults
from ..ranking.evidence import Evidence
from ..ranking.pareto import front_sentence, points
from ..ranking.split import split_sentence, splits
from ..source import Portrait, Source
from .drawings import Drawing, as_vectors, by_theme, panels

_PANELS = {
    "truth": "truth",
    "samples": "samples",
    "error": "samples − truth",
    "energy": "energy",
    "score": "score",
    "paths": "paths of eight chains",
}

_SPECTRUM = (
    "What the error of the score at each noise level adds to the KL divergence (path_fisher): the "
    "area under a curve, in nats. Means over the confirmation runs; thin lines are single runs."
)


def overview_pictures(evidence: Evidence) -> dict[str, str] | None:
    """Embed the overview, wide and narrow, light and dark; ``None`` before any confirmation."""
    if not evidence.compared:
        return None
    shapes = {
        "wide": partial(overview, evidence),
        "narrow": partial(overview, evidence, columns=1, width=4.3),
    }
    pictures = {
        f"{size}_{theme}": image
        for size, make in shapes.items()
        for theme, image in as_vectors(make).items()
    }
    datasets = (
        f"{dataset}: {', '.join(map(_mean, evidence.on(dataset)))}" for dataset in evidence.datasets
    )
    return pictures | {"alt": f"Confirmed means with 95 % intervals. {'; '.join(datasets)}"}


def _mean(cell: CellResults) -> str:
    if cell.missing or cell.failed:
        return f"{cell.method} {'missing' if cell.missing else 'failed'}"
    return f"{cell.method} {text.measured(cell.mean, cell.loss.half_width())}"


MOST_CELLS, FEWEST_CELLS = 48, 3
"""Cells whose pictures a page holds, but for the best few of every dataset: a third of a megabyte
each; `figure` draws the others."""


def most_cells(source: Source) -> int:
    """Return how many cells of a dataset, best first, have pictures on the page."""
    return max(FEWEST_CELLS, MOST_CELLS // max(1, len(source.evidence.datasets)))


def _portrait(
    cell: CellResults, portrait: Portrait, images: Mapping[str, str]
) -> dict[str, object]:
    """Return the variables of a cell's panels; they get their ``images`` later."""
    alts = {
        "truth": "histogram of the true distribution",
        "samples": f"histogram of {portrait.census}",
        "error": "map of samples minus truth, red for too many samples, blue for too few",
        "energy": "no energy" if portrait.energy is None else "energy map, bright where low",
        "score": "arrows of the score field",
        "paths": "paths of a few chains of the sampler over the truth, from ring to dot",
    }
    value = (
        f"{cell.failed} of {len(cell.confirm)} failed"
        if cell.failed
        else text.measured(cell.mean, cell.loss.half_width())
    )
    view = f"{portrait.census}; {portrait.view}"
    return {
        "label": cell.label,
        "dataset": cell.dataset,
        "caption": f"{cell.objective.upper()} {value}; {view}",
        "panels": [
            {"title": title, "kind": kind, "alt": f"{cell.method} on {cell.dataset}: {alts[kind]}"}
            for kind, title in _PANELS.items()
        ],
        "images": images,
    }


class Plots:
    """Plots of a run directory with their captions.

    Attributes:
        drawings: Those that have been asked for: they get their pictures when these are finished.
    """

    def __init__(self, source: Source) -> None:
        self.drawings: list[Drawing] = []
        self._source = source
        self._figures = figures(source)

    def gallery(self, dataset: str) -> list[dict[str, object]]:
        """Return the panels of the best cells of a dataset."""
        shown = []
        for cell in self._source.evidence.on(dataset)[: most_cells(self._source)]:
            portrait = None if cell.missing else self._source.portrait(cell)
            if portrait is not None:
                drawing = Drawing(partial(panels, portrait, list(_PANELS)), {})
                self.drawings.append(drawing)
                shown.append(_portrait(cell, portrait, drawing.into))
        return shown

    def critical(self) -> dict[str, str] | None:
        """Return the critical-difference diagram; ``None`` with too few datasets."""
        caption = "Mean ranks across datasets; Nemenyi's test finds no difference within a bar."
        return self._plot("critical-difference", "Critical differences", caption, caption)

    def searchers(self) -> dict[str, str] | None:
        """Return the anytime curves of the searchers; ``None`` if there is only one."""
        caption = (
            "Score of the best configuration after each number of trials, with 95 % intervals over "
            "restarts. Filled marks are confirmed; open ones are repeat runs, on validation seeds "
            "that did not choose the configuration."
        )
        return self._plot("searchers", "Search algorithms", caption, caption)

    def samplers(self) -> dict[str, str] | None:
        """Return the profile of the samplers; ``None`` if models are learned."""
        caption = (
            "Share of the targets that are reached, by evaluations of the score per chain: "
            "losses of 1 to 32 times the 95 % quantile of the noise floor on each dataset. 95 % "
            "intervals over restarts; samplers are listed from the best down."
        )
        return self._plot("samplers", "Samplers", caption, caption)

    def on(self, dataset: str) -> list[dict[str, str]]:
        """Return the plots of a dataset: errors, budgets, front and training curves."""
        evidence, objective = self._source.evidence, self._source.evidence.objective
        bands = (
            "expected best after each number of trials, with 95 % intervals where known"
            if self._source.independent
            else "best so far; bands show the seed variation of one training run"
        )
        searched = (
            f"{objective.upper()} on the validation sample, {bands}; marks at the end are the "
            "confirmed means."
        )
        errors = split_sentence(splits(evidence, dataset))
        front = front_sentence(points(evidence, self._source.study.costs, dataset), objective)
        plots = [
            self._plot(f"errors-{dataset}", "Learning and sampling errors", errors,
                       "Learning error, sampling error and both together, by method."),
            self._plot(f"budget-{dataset}", "Search results by budget", searched,
                       f"{searched} By number of trials and by seconds of computing."),
            self._plot(f"front-{dataset}", "Quality against cost", front,
                       "Objective against cost of trials and repeat runs, with the front."),
            self._plot(f"training-{dataset}", "Training of the winners", self._learned(dataset),
                       "Losses and gradient norms by training step, a row of panels per method."),
            self._plot(f"spectrum-{dataset}", "Which noise level costs what", _SPECTRUM,
                       "Contribution of each noise level to the KL divergence, by method."),
        ]  # fmt: skip
        return [plot for plot in [*self._clouds(dataset), *plots] if plot is not None]

    def _clouds(self, dataset: str) -> Iterator[dict[str, str] | None]:
        """Samples and truth of the cells of a dataset that is not of the plane."""
        for cell in self._source.evidence.on(dataset):
            shown = None if cell.missing else cloud(self._source, cell)
            if shown is not None:
                alt = f"Samples of {cell.label} beside points of {dataset}."
                yield self._plot(cell.cell.stem, f"{cell.label}: samples", shown.caption, alt)

    def slices(self, dataset: str) -> list[dict[str, str]]:
        """Return the trials of the best cells of a dataset by hyperparameter."""
        plots = [
            self._plot(
                f"slices-{cell.cell.stem}",
                cell.label,
                "",
                f"Trials of {cell.label} on {dataset} by hyperparameter.",
            )
            for cell in self._source.evidence.on(dataset)[: most_cells(self._source)]
        ]
        return [plot for plot in plots if plot is not None]

    def _plot(self, name: str, title: str, caption: str, alt: str) -> dict[str, str] | None:
        if name not in self._figures:
            return None
        wide = name.startswith("training-")
        kind = "plot wide" if wide else "plot"
        plot = {"kind": kind, "title": title, "caption": caption, "alt": alt}
        draw = partial(by_theme, self._figures[name], 140 if wide else 190)
        self.drawings.append(Drawing(draw, plot))
        return plot

    def _learned(self, dataset: str) -> str:
        learned = self._source.training(dataset)
        seeds = max((len(runs.curves) for runs in learned.values()), default=0)
        runs = "All confirmation runs" if seeds > 1 else "The best confirmation run"
        sentences = [f"{runs} by training step."]
        excesses = [
            f"{label} {text.number(runs.excess, 2)}"
            for label, runs in learned.items()
            if math.isfinite(runs.least)
        ]
        if excesses:
            sentences.append(
                "The dashed line is the least possible loss; the remaining excess (units differ "
                f"by method) is {text.listed(excesses)}."
            )
        if any(runs.names for runs in learned.values()):
            metric = self._source.evidence.objective.upper()
            sentences.append(f"{metric} during training is measured on a small sample.")
        return " ".join(sentences)
