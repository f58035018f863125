"""The Python interface: the verbs of the command line, with tables as DataFrames."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scorebench as sb
import torch
from scorebench.bench.metrics import metrics
from scorebench.datasets import datasets
from scorebench.methods import methods, samplers


def test_verbs(tiny_run):
    study = sb.Study(tiny_run)
    assert set(study.leaderboard()["method"]) == {"dsm", "ssm"}
    assert len(study.cells()) == 4
    assert isinstance(study.results, pd.DataFrame)
    assert bool(study.status()["finished"].all())
    assert study.verdict()
    assert study.report().name == "report.html"
    best = study.best("dsm", "rings")
    assert best.search.trials == 0
    assert set(study.replay("dsm", "rings")["verdict"]) == {"identical"}
    with pytest.raises(sb.UsageError, match="did you mean 'dsm'"):
        study.best("dms", "rings")


def test_results_are_loaded_once_until_the_run_directory_changes(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    study = sb.Study(folder)
    source = study.source
    study.leaderboard()
    study.report()
    results = study.results
    results["state"] = "changed"
    assert study.source is source
    assert set(study.results["state"]) == {"ok"}
    rows = (folder / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "runs.jsonl").write_bytes(b"".join(rows[:-1]))
    assert len(study.results) == len(source.results) - 1


def test_status_needs_neither_torch_nor_matplotlib(tiny_run):
    program = (
        "import sys, scorebench as sb\n"
        "from scorebench.reports.commands import status\n"
        f"sb.Study({str(tiny_run)!r}).status()\n"
        f"status({str(tiny_run)!r})\n"
        "print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr


def test_confirmed_samples_reproduce_their_scores(tiny_run):
    """The stored points, scored again by hand, give the numbers in the table."""
    from scorebench.bench.run import RunSpec
    from scorebench.bench.truth import judge_of

    rows = sb.Study(tiny_run).results.query(
        "phase == 'confirm' and method == 'dsm' and dataset == 'rings'"
    )
    with np.load(tiny_run / "samples" / "dsm-rings-langevin.npz", allow_pickle=False) as stored:
        samples, replicate = stored["samples"], stored["replicate"]
    assert samples.shape == (3 * 120, 2)
    ranked = rows.sort_values("sw1")
    assert list(dict.fromkeys(replicate)) == list(ranked["replicate"])
    for row in ranked.itertuples():
        points = torch.from_numpy(samples[replicate == row.replicate])
        scores = judge_of(RunSpec.parse(row.spec)).score(points)
        assert scores["sw1"] == row.sw1
        assert scores["mmd"] == row.mmd


def test_every_command_is_a_function_too(tiny_run):
    study = sb.Study(tiny_run)
    pd.testing.assert_frame_equal(sb.leaderboard(tiny_run), study.leaderboard())
    pd.testing.assert_frame_equal(sb.status(tiny_run), study.status())
    assert sb.report(tiny_run) == study.report()
    assert sb.best(tiny_run, "ssm", "rings") == study.best("ssm", "rings")
    assert set(sb.replay(tiny_run, "ssm", "rings")["verdict"]) == {"identical"}
    pd.testing.assert_frame_equal(sb.list(), sb.registered())


def test_registered_names_everything():
    table = sb.registered()
    assert {"dsm", "rings", "langevin", "mmd", "truth", "quick"} <= set(table["name"])
    # Other tests register plug-ins in this process, with summaries of their own taste.
    ours = {*datasets.builtin, *methods.builtin, *samplers.builtin, *metrics.builtin}
    builtin = table[table["name"].isin(ours)]
    assert bool((builtin["summary"].str.len() > 10).all())


def test_a_study_can_be_given_as_a_value(tiny_toml, tmp_path):
    spec = sb.load_study(tiny_toml, ["methods=['dsm']", "datasets=['rings']", "search.trials=1"])
    study = sb.run(spec, tmp_path / "run", workers=1)
    assert list(study.leaderboard()["method"]) == ["dsm"]
    with pytest.raises(sb.UsageError):
        sb.run(spec, tmp_path / "run", overrides=["seed=1"])


@pytest.mark.parametrize("verb", [sb.run, sb.load_study])
def test_a_finding_is_no_study_and_its_command_is_named(verb):
    with pytest.raises(sb.UsageError, match=r"'langevin' is a finding.*: scorebench finding lang"):
        verb("langevin")
    with pytest.raises(sb.UsageError, match="did you mean 'quick'"):
        verb("quik")


def test_datasets_can_be_used_alone():
    rings = sb.get_dataset("rings")
    points = rings.sample(5, torch.Generator().manual_seed(0))
    assert rings.log_prob(points).shape == (5,)
    with pytest.raises(AttributeError):
        _ = sb.no_such_name


def test_notebooks_see_the_board_pictures_and_points(tiny_run):
    study = sb.Study(tiny_run)
    assert "dsm" in study._repr_html_()
    assert len(study.plot("overview").axes) >= 2
    with pytest.raises(sb.UsageError, match="overview"):
        study.plot("overvue")
    assert study.sample("dsm", "rings", n=5).shape == (5, 2)
