"""Every claim of every finding holds, and fails with a wrong implementation."""

import pandas as pd
import pytest
from scorebench.reports.findings import findings
from scorebench.reports.findings.base import as_wrong, right, row, with_wrong

from .small import LONGER, SETTINGS


def test_every_finding_is_tested():
    assert set(SETTINGS) == set(findings.builtin)


@pytest.mark.parametrize("name", sorted(findings.builtin))
def test_every_claim_names_what_fails_it(name):
    kind = findings.get(name)
    assert {claim.wrong for claim in kind.claims} == set(kind.wrongs)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_claims_hold_and_fail_when_they_should(reduced, name):
    claims = reduced(name, **SETTINGS[name]).claims
    if name in LONGER:
        claims = claims[~claims["claim"].str.contains(LONGER[name])]
    assert not claims.empty
    assert claims["holds"].all(), claims[~claims["holds"]]
    assert claims["fails"].all(), claims[~claims["fails"]]


@pytest.fixture
def table():
    rows = [row("e", "q", float(n), n=n, seed=seed) for n in (1, 2) for seed in (0, 1)]
    frame = pd.DataFrame(rows + as_wrong("double", rows[:1], value=9.0))
    return frame.assign(wrong=frame["wrong"].fillna(""))


def test_wrong_rows_replace_all_repeats_of_what_they_measure(table):
    assert list(right(table)["value"]) == [1, 1, 2, 2]
    assert list(with_wrong(table, "double")["value"]) == [2, 2, 9]


def test_wrong_rows_without_a_right_one_are_an_error(table):
    with pytest.raises(KeyError, match="replace no others"):
        with_wrong(table.assign(n=table["n"].where(table["wrong"] == "", 3)), "double")
    with pytest.raises(KeyError, match="replace no others"):
        with_wrong(table, "another")
