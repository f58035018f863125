"""The spectrum of ``path_fisher``: stored with every confirmation run, drawn in the report."""

import numpy as np
import pytest
import scorebench as sb
from scorebench.bench.metrics import metrics
from scorebench.bench.spec import RunSpec
from scorebench.bench.truth import judge_of

STUDY = """
name = "spectrum"
methods = [{name = "ncsn", sigma_min = 0.1, learning_rate = 1e-3}]
datasets = ["two_modes"]
samplers = ["pf_ode"]
objective = "path_fisher"

[network]
kind = "score"
width = 8

[training]
steps = 20
points = 500

[search]
trials = 0

[confirm]
seeds = 2

[reference]
methods = []
floors = 1

[evaluation]
samples = 50
metrics = [{name = "path_fisher", low = 0.3, levels = 4}]
"""


@pytest.fixture(scope="module")
def spectrum_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spectrum")
    (folder / "spectrum.toml").write_text(STUDY)
    sb.run(folder / "spectrum.toml", folder / "run", workers=1)
    return folder / "run"


def test_the_stored_spectrum_integrates_to_the_metric(spectrum_run):
    study = sb.Study(spectrum_run)
    rows = study.results[study.results["phase"] == "confirm"]
    with np.load(spectrum_run / "curves" / "ncsn-two_modes-pf_ode.npz") as arrays:
        spectra, keys = arrays["spectra"], list(arrays["keys"])
    assert spectra.shape == (2, 5, 2)
    assert spectra[0, -1, 0] == 10
    for _, row in rows.iterrows():
        (metric,) = judge_of(RunSpec.parse(row["spec"])).metrics.values()
        assert isinstance(metric, metrics.get("path_fisher"))
        value = metric.weights.numpy() @ spectra[keys.index(row["key"]), :, 1]
        assert value == pytest.approx(row["path_fisher"], rel=1e-9)


def test_a_further_seed_keeps_the_spectra_of_the_others(spectrum_run):
    path = spectrum_run / "curves" / "ncsn-two_modes-pf_ode.npz"
    with np.load(path) as arrays:
        before = dict(zip(arrays["keys"], arrays["spectra"], strict=True))
    study, overrides = spectrum_run.parent / "spectrum.toml", ["confirm.seeds=3"]
    sb.run(study, spectrum_run, overrides=overrides, workers=1)
    with np.load(path) as arrays:
        after = dict(zip(arrays["keys"], arrays["spectra"], strict=True))
    assert len(after) == 3
    for key, spectrum in before.items():
        np.testing.assert_array_equal(after[key], spectrum)


def test_the_report_draws_it(spectrum_run):
    figure = sb.Study(spectrum_run).plot("spectrum-two_modes")
    (axis,) = figure.axes
    sigma, mean = axis.lines[-1].get_data()
    assert len(sigma) == 5
    assert (np.asarray(mean) >= 0).all()
    page = (spectrum_run / "report.html").read_text()
    assert "Which noise level costs what" in page
