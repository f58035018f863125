"""How long the suite is, and the table of figures that it prints.

The short form is part of every test run. ``make faults`` runs the long one.
"""

import json
import os
from pathlib import Path

import cloudpickle
import pytest
from scorebench.studies.study import run

from ..studies import fake_engine
from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine

# Worker processes do not see the test folder on their path.
cloudpickle.register_pickle_by_value(fake_engine)

TABLE = Path(__file__).resolve().parents[2] / "build" / "faults.json"

LONG = os.environ.get("SCOREBENCH_FAULTS") == "long"


def often(short: int, long: int) -> int:
    """How many times something is tried."""
    return long if LONG else short


@pytest.fixture
def figure(record_property):
    """Record a line of the table: what was tried, and what came of it."""

    def record(what: str, found: str) -> None:
        record_property("figure", (what, found))

    return record


def pytest_terminal_summary(terminalreporter):
    """Print the table; test processes of xdist send their figures with their reports."""
    figures = {
        what: found
        for report in terminalreporter.stats.get("passed", [])
        for name, (what, found) in getattr(report, "user_properties", [])
        if name == "figure"
    }
    if not (figures and LONG):
        return
    # Figures of earlier calls stay, so that the long form may be run piece by piece.
    TABLE.parent.mkdir(exist_ok=True)
    earlier = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    figures = earlier | figures
    TABLE.write_text(json.dumps(figures, indent=1))
    width = max(map(len, figures))
    terminalreporter.section("figures of the fault-injection suite")
    for what in sorted(figures):
        terminalreporter.write_line(f"{what:<{width}}  {figures[what]}")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The small study, undisturbed; not to be changed."""
    directory = tmp_path_factory.mktemp("finished") / "small"
    run(make_study(), directory, engine=FakeEngine())
    return directory
