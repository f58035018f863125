"""Findings in reduced sizes."""

import pytest
from scorebench.reports.findings import findings
from scorebench.reports.findings.result import FindingResult
from scorebench.reports.findings.run import compute


@pytest.fixture(scope="session")
def reduced():
    """Compute a finding with some settings, once per session."""
    results = {}

    def result(name, **settings):
        key = repr((name, settings))
        if key not in results:
            finding = findings.get(name)(**settings)
            results[key] = FindingResult(name, finding, compute(name, finding))
        return results[key]

    return result
