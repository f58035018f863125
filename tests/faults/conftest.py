"""How long the suite is, and the table of figures that it prints.

The short form is part of every test run. ``make faults`` runs the long one.
"""

import os

import cloudpickle
import pytest
from scorebench.studies.study import run

from ..studies import fake_engine
from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine

# Worker processes do not see the test folder on their path.
cloudpickle.register_pickle_by_value(fake_engine)

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
    lines = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == "figure"
    ]
    if lines and LONG:
        width = max(len(what) for what, _ in lines)
        terminalreporter.section("figures of the fault-injection suite")
        for what, found in lines:
            terminalreporter.write_line(f"{what:<{width}}  {found}")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The small study, undisturbed; not to be changed."""
    directory = tmp_path_factory.mktemp("finished") / "small"
    run(make_study(), directory, engine=FakeEngine())
    return directory
