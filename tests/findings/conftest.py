"""Findings in reduced sizes."""

import pytest
from scorebench.reports.findings.result import FindingResult
from scorebench.studies.findings import findings
from scorebench.studies.findings.run import compute


@pytest.fixture(scope="session")
def reduced():
    """Compute a finding with some settings, and say which of its claims do not hold."""
    made = {}

    def result(name, **settings):
        key = repr((name, settings))
        if key not in made:
            finding = findings.get(name)(**settings)
            made[key] = FindingResult(name, finding, compute(name, finding))
        return made[key]

    return result
