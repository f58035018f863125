"""What a study was registered to test, held against what it found."""

from collections.abc import Iterator
from typing import NamedTuple

from ...studies.specs.spec import StudySpec
from ...studies.specs.tables import Registration
from .columns import Column, Columns
from .evidence import Contestant, Evidence


class PlannedClaim(NamedTuple):
    """A planned claim and its outcome.

    Attributes:
        better: Label of the method that should be better.
        worse: Label of the other.
        dataset: Label of the dataset, or ``all``.
        outcome: ``confirmed``, ``contradicted``, ``equal`` (shown to differ too little to matter),
            ``open``, or ``not tested`` where runs or restarts are missing.
    """

    better: str
    worse: str
    dataset: str
    outcome: str


def claims(evidence: Evidence, plan: Registration) -> list[PlannedClaim]:
    """Hold every planned claim against the comparisons, under each sampler."""
    return [claim for test in plan.tests for claim in _claims(evidence, *test)]


def _claims(
    evidence: Evidence, better: str, worse: str, dataset: str | None
) -> Iterator[PlannedClaim]:
    for sampler in sorted({contestant.sampler for contestant in evidence.contestants}):
        first, second = (_label(evidence, method, sampler) for method in (better, worse))
        found = evidence.comparisons.get((dataset, first, second))
        if found is None:
            outcome = "not tested"
        elif found.decided:
            outcome = "confirmed" if found.decided < 0 else "contradicted"
        else:
            outcome = "equal" if found.small else "open"
        yield PlannedClaim(first or better, second or worse, dataset or "all", outcome)


def _label(evidence: Evidence, method: str, sampler: str) -> str:
    labels: list[Contestant] = [c for c in evidence.contestants if c.method == method]
    return next((c.label for c in labels if c.sampler == sampler), "")


claim_columns: Columns[PlannedClaim] = Columns()
claim_columns["better", "better"] = Column("Method that should be better.", lambda c: c.better)
claim_columns["worse", "worse"] = Column("The other method.", lambda c: c.worse)
claim_columns["dataset", "dataset"] = Column("Dataset; `all` across them.", lambda c: c.dataset)
claim_columns["outcome", "outcome"] = Column(
    "`confirmed`, `contradicted`, `equal` (the difference was shown to be too small to matter), "
    "`open`, or `not tested` where runs or restarts are missing.",
    lambda c: c.outcome,
)


def planned_sentences(evidence: Evidence, study: StudySpec) -> list[str]:
    """Say what was planned and what became of it.

    Empty for a study that was not registered.
    """
    plan = study.plan
    if plan is None:
        return []
    sentences = [
        f"Planned to detect a difference of {plan.difference:g} with a chance of "
        f"{100 * plan.power:g} %; the study "
        + ("is as it was registered." if study.as_planned else "was changed after registration.")
    ]
    sentences += [
        f"Planned: {claim.better} better than {claim.worse}"
        + (f" on {claim.dataset}" if claim.dataset != "all" else "")
        + f": {claim.outcome}."
        for claim in claims(evidence, plan)
    ]
    rest = "All other" if plan.claims else "No claim was planned: all"
    return [*sentences, f"{rest} comparisons are exploratory, not planned."]
