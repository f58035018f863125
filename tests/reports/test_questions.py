"""Which limit each sampler meets: synthetic results whose answer is known."""

import numpy as np
import pytest
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.questions import question_sentence, questions

from .conftest import study


def asked(model, exact, floor=(0.0, 0.01)):
    """Questions of a study whose further sampler gives these losses, at seeds 0, 1, 2, ..."""
    results = study()
    results = results[results.dataset == "rings"].copy()
    rng = np.random.default_rng(0)
    results["sw1"] = results["sw1"].where(results.method != "truth")
    truth = results.method == "truth"
    results.loc[truth, "sw1"] = rng.normal(*floor, truth.sum())
    results["weighs.sw1"] = np.nan
    for rows, mean in ((results.phase == "confirm", model), (results.method == "exact", exact)):
        results.loc[rows, "weighs.sw1"] = mean + 0.01 * rng.normal(size=rows.sum())
    return [q for q in questions(gather(results, "sw1"), "rings") if q.sampler == "weighs"]


@pytest.mark.parametrize(
    ("model", "exact", "limit"),
    [
        (0.0, 0.0, "none"),
        (1.0, 0.0, "learner"),
        (1.0, 1.0, "sampler"),
        (1.0, 2.0, "sampler"),
        (2.0, 1.0, "learner"),
    ],
)
def test_the_limit_is_named(model, exact, limit):
    answers = asked(model, exact)
    # At the floor one model in twenty lies beyond it by chance.
    assert [q.limit for q in answers].count(limit) >= len(answers) - 1
    words = {"none": "the noise floor is reached", "learner": "the learner is the limit"}
    assert words.get(limit, "the sampler is the limit") in question_sentence(answers)


def test_without_further_samplers_there_are_no_questions():
    results = study()
    plain = results.drop(columns=[name for name in results if name.startswith("split.")])
    assert questions(gather(plain, "sw1"), "rings") == []
    assert {question.sampler for question in questions(gather(results, "sw1"), "rings")} == {
        "langevin", "split",
    }  # fmt: skip
