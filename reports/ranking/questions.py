"""One trained model under several samplers: is the sampler the limit, or the learner?

Each sampler asks its own question of a model: started from the data, whether it keeps them; from
a box, whether it finds them; with weights, whether it weighs far regions rightly. With the exact
score a sampler that works is at the noise floor; what a model lacks there is learning error.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import text
from .cell_results import CellResults
from .columns import Column, Columns, estimated
from .evidence import Evidence
from .statistics import LEVEL, Array, Estimate, estimate, same_as_floor


@dataclass(frozen=True)
class Question:
    """A cell under one sampler; values are losses.

    Attributes:
        cell: The results of the cell.
        sampler: Label of the sampler.
        model: Losses of the trained models, by restart or seed.
        exact: Losses of the exact score with the same sampler.
    """

    cell: CellResults
    sampler: str
    model: Array
    exact: Array

    @property
    def floor(self) -> float:
        """95 % quantile of the noise floor."""
        return float(np.quantile(self.cell.truth, 0.95)) if len(self.cell.truth) else float("nan")

    @property
    def limit(self) -> str:
        """What keeps the model from the floor: ``sampler``, ``learner``, ``none`` or ``open``."""
        if same_as_floor(self.model, self.cell.truth):
            return "none"
        beyond = estimate([self.model, -self.exact])
        if beyond.value > 0 and not beyond.p_value() > 1 - LEVEL:
            return "learner"
        if len(self.exact) < 2 or same_as_floor(self.exact, self.cell.truth):
            return "open"
        model, exact = (values.mean() - self.cell.floor for values in (self.model, self.exact))
        return "sampler" if exact >= model / 2 else "open"


def questions(evidence: Evidence, dataset: str) -> list[Question]:
    """Return the cells of a dataset under each sampler; none if models have one sampler only."""
    return [question for cell in evidence.on(dataset) for question in _of_cell(cell)]


def _of_cell(cell: CellResults) -> Iterator[Question]:
    ending = f".{cell.objective}"
    columns = cell.confirm.columns[cell.confirm.notna().any()].astype(str)
    further = [name.removesuffix(ending) for name in columns if name.endswith(ending)]
    if further and not cell.missing:
        yield Question(cell, cell.sampler, cell.losses, cell.oracle)
        for label in sorted(further):
            yield Question(cell, label, cell.under(label), cell.exact_under(label))


def best_models(evidence: Evidence) -> list[Question]:
    """Return for each dataset and sampler the best method there, by dataset and sampler."""
    best: dict[tuple[str, str], Question] = {}
    for dataset in evidence.compared:
        for question in questions(evidence, dataset):
            place = dataset, question.sampler
            if place not in best or question.model.mean() < best[place].model.mean():
                best[place] = question
    return list(best.values())


def question_sentence(asked: list[Question]) -> str:
    """Say for each sampler whether sampling or learning is the limit."""
    sentences = []
    for sampler in dict.fromkeys(question.sampler for question in asked):
        here = [question for question in asked if question.sampler == sampler]
        limits = {kind: [q.cell.label for q in here if q.limit == kind] for kind in _LIMITS}
        said = [
            f"{words} for {'all methods' if len(labels) == len(here) else text.listed(labels)}"
            for kind, words in _LIMITS.items()
            if (labels := limits[kind])
        ]
        sentences.append(f"With {sampler} {text.listed(said)}.")
    return " ".join(sentences)


_LIMITS = {
    "sampler": "the sampler is the limit",
    "learner": "the learner is the limit",
    "none": "the noise floor is reached",
    "open": "the limit is open",
}

question_columns: Columns[Question] = Columns()
question_columns["dataset", ""] = Column("Dataset.", lambda question: question.cell.dataset)
question_columns["method", "method"] = Column(
    "Method, and sampler of the search if there are several.", lambda question: question.cell.label
)
question_columns["sampler", "sampler"] = Column(
    "Sampler of the trained model: the ranked one, or one of `evaluation.also`.",
    lambda question: question.sampler,
)


def _model(question: Question) -> Estimate:
    return estimate([question.model])


def _exact(question: Question) -> Estimate:
    return estimate([question.exact])


question_columns["model", "model"] = estimated("Mean loss of the trained models.", _model)
question_columns["exact", "exact score"] = estimated(
    "Mean loss of the exact score with that sampler.", _exact
)
question_columns["floor_95", "95 % of floor"] = Column(
    "95 % quantile of the noise floor.", lambda question: question.floor
)
question_columns["limit", "limit"] = Column(
    "What keeps the model from the floor: the learner, if it is farther than the exact score "
    "(95 %), the sampler, if the exact score misses it too, by at least half as much.",
    lambda question: question.limit,
)
