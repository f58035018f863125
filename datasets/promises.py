"""What every dataset promises, in sentences: ``DatasetConformance`` told without tracebacks."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    import pytest

# By the name of its test: what is promised, and what is likely wrong if it is not kept.
PROMISES = {
    "samples_any_number": (
        "`draw` gives any number of points, float64 of shape (n, dim)",
        "a shape or type is wrong: n may be 0, points are (n, dim) in float64, and log densities "
        "and modes are (n,), modes being whole numbers",
    ),
    "sampling_uses_its_generator_alone": (
        "`draw` takes random numbers from its generator alone",
        "pass generator=generator to every torch.rand, torch.randn and torch.randint",
    ),
    "rows_are_independent": (
        "points are independent of each other",
        "points depend on the order they come in: draw the mode of each one at random, not in turn",
    ),
    "means_of_small_samples_vary_as_they_should": (
        "small samples vary as independent points do",
        "points are spread too evenly or too alike: draw each one on its own",
    ),
    "distribution_does_not_depend_on_the_number": (
        "points have one distribution, whatever their number",
        "few points are distributed otherwise than many, or not like the density",
    ),
    "histogram_of_noisy_samples_is_the_density": (
        "the histogram of points is the density, with noise and without",
        "`draw` and `log_density` describe different distributions, or sigma is not added to the "
        "variance",
    ),
    "density_integrates_to_one": (
        "the density integrates to one at every sigma",
        "a normalising constant is missing or wrong, or `extent` is too small",
    ),
    "smoothing_composes": (
        "smoothing twice is smoothing once with the sum of the variances",
        "`log_density` at sigma is not the data's density convolved with N(0, sigma²)",
    ),
    "known_constants": (
        "entropy and the like are as stated",
        "a constant stated in the test differs from the measured one",
    ),
    "entropy_and_fisher_information_are_means": (
        "entropy and Fisher information are means over the points",
        "`information`, or `log_density`, does not agree with the points that are drawn",
    ),
    "noise_raises_the_entropy_by_half_the_fisher_information": (
        "noise raises the entropy by half the Fisher information",
        "`log_density` at sigma is not that of the smoothed data",
    ),
    "score_is_the_gradient_of_the_log_density": (
        "the score is the gradient of the log density, anywhere",
        "`gradient` is not the derivative of `log_density`, or one of them is not finite: leave "
        "`gradient` out, and autograd does it; sum exponentials with logsumexp",
    ),
    "score_is_the_gradient_on_the_data": (
        "the score is the gradient of the log density, on the data",
        "`gradient` is not the derivative of `log_density`: leave it out, and autograd does it",
    ),
    "no_score_below_where_it_begins": (
        "there is no score below `score_from`",
        "the density has edges: let the base class refuse the levels below `score_from`",
    ),
    "far_away_all_is_finite": (
        "everything is finite far away",
        "densities become zero before their logarithm is taken: use logsumexp",
    ),
    "points_do_not_see_each_other": (
        "what a point gets does not depend on the points beside it",
        "a mean, sum or maximum runs over the first axis, or a NaN spreads to other rows",
    ),
    "points_are_left_alone_and_converted": (
        "points that are given are not changed",
        "an operation in place changed the points: write x + 1, not x += 1",
    ),
    "modes_have_their_weights": (
        "modes have the probabilities in `weights`",
        "`assign` and `weights` disagree with the points that are drawn",
    ),
    "extent_holds_nearly_all": (
        "the box of half side `extent` holds nearly all points",
        "make `extent` larger, or the data smaller",
    ),
    "bad_input_is_refused": (
        "bad input is refused in one line",
        "`sample`, `log_prob` and `score` were overridden: write `draw` and `log_density` instead",
    ),
}


def broken(name: str) -> Iterator[tuple[str, str | None]]:
    """Run the conformance tests of a dataset: each promise, and what is wrong or None.

    Args:
        name: Name in the registry; what it needs has defaults.

    Raises:
        UsageError: The tools for tests are not installed.
    """
    missing = [tool for tool in ("pytest", "hypothesis") if not importlib.util.find_spec(tool)]
    if missing:
        raise UsageError(
            f"checking a dataset needs {' and '.join(missing)}: pip install 'scorebench[check]'"
        )
    import pytest

    notes = _Notes()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_dataset.py"
        file.write_text(_TEST.format(name=name), encoding="utf-8")
        quiet = ("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist")
        options = ("-c", "/dev/null", "--rootdir", folder, "--import-mode=importlib")
        pytest.main([str(file), *quiet, *options], plugins=[notes])
    for test, (promise, wrong) in PROMISES.items():
        if test in notes.told:
            yield promise, f"{wrong}{notes.told[test]}" if test in notes.failed else None


_TEST = """\
import pytest
from scorebench.datasets import get_dataset
from scorebench.datasets.testing import DatasetConformance


class TestIt(DatasetConformance):
    @pytest.fixture
    def dataset(self):
        return get_dataset({name!r})
"""


class _Notes:
    """Listens to pytest: which tests ran and failed, and what they raised but assertions."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        """Called by pytest after each phase of a test."""
        test = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_")
        if report.failed:
            self.failed.add(test)
            crash = getattr(report.longrepr, "reprcrash", None)
            message = "" if crash is None else crash.message.split("\n")[0]
            raised = message and not message.lower().startswith(("assert", "failed"))
            self.told[test] = f" ({message})" if raised else ""
        elif report.when == "call" or report.skipped:
            self.told.setdefault(test, "")
