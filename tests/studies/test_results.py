"""What is read from a run directory: tables, artifacts, progress, winners, replays."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scorebench.bench.spec import RunSpec
from scorebench.datasets.errors import UsageError
from scorebench.studies.progress import status
from scorebench.studies.replay import replay
from scorebench.studies.results import read_results
from scorebench.studies.specs.load import load_study
from scorebench.studies.study import run
from scorebench.studies.winners import best

from .conftest import contents, make_study
from .fake_engine import FakeEngine


def confirmed(table, method):
    rows = table[(table.phase == "confirm") & (table.method == method) & (table.state == "ok")]
    return rows.sort_values(["mmd", "replicate"])


def test_columns_and_order(finished, engine):
    table = read_results(finished, engine)
    assert list(table.columns) == [
        "phase", "method", "dataset", "sampler", "trial", "replicate", "state", "failure", "key",
        "mmd", "sw1", "sw2", "fit",
        "params.count", "params.kind", "params.learning_rate", "params.sigma", "params.slope",
        "params.width",
        "train_evaluations", "sample_evaluations", "train_seconds", "sample_seconds",
        "score_seconds", "environment", "spec",
    ]  # fmt: skip
    assert list(table.phase.drop_duplicates()) == ["reference", "search", "confirm"]
    places = table[["phase", "method", "dataset", "sampler", "trial", "replicate"]]
    assert not places.duplicated().any()
    alpha = table[(table.method == "alpha") & (table.phase == "search")]
    pairs = list(zip(alpha.trial, alpha.replicate, strict=True))
    assert pairs == sorted(pairs)


def test_files_say_the_same_as_the_table(finished, engine):
    table = read_results(finished, engine)
    pd.testing.assert_frame_equal(pd.read_parquet(finished / "results.parquet"), table)
    csv = pd.read_csv(finished / "results.csv", dtype={"trial": "Int64"}, keep_default_na=False)
    assert list(csv.columns) == list(table.columns)
    numbers = pd.to_numeric(csv.mmd)
    np.testing.assert_array_equal(numbers[table.mmd.notna()], table.mmd.dropna())
    assert list(csv.spec) == list(table.spec)


def test_parameters_keep_their_kind(finished, engine):
    types = read_results(finished, engine).filter(like="params.").dtypes.astype(str)
    assert dict(types) == {
        "params.count": "Int64",
        "params.kind": "str",
        "params.learning_rate": "float64",
        "params.sigma": "float64",
        "params.slope": "float64",
        "params.width": "Int64",
    }


def test_a_parameter_of_several_kinds_is_text(tmp_path, engine):
    study = make_study(methods=["alpha", {"name": "gamma", "label": "g", "width": 6}])
    run(study, tmp_path, engine=engine)
    lines = (tmp_path / "runs.jsonl").read_text()
    (tmp_path / "runs.jsonl").write_text(lines.replace('"width":6', '"width":"six"', 3))
    table = read_results(tmp_path, engine)
    assert set(table["params.width"].dropna()) == {"6", "six"}
    table.to_parquet(tmp_path / "x.parquet")


def test_failures_are_rows_with_their_reason(finished, engine):
    table = read_results(finished, engine)
    delta = table[table.method == "delta"]
    assert set(delta.state) == {"diverged"}
    assert set(delta.failure) == {"train step 7: the loss is not finite"}
    gamma = table[table.method == "gamma"]
    broken = gamma[gamma["params.width"] == 3]
    assert len(broken)
    assert set(broken.state) == {"failed"}
    # A task that raised is taken apart: only the guilty run fails.
    assert set(broken.failure) == {"worker: ZeroDivisionError: width 3 is a bug"}
    assert set(gamma[gamma["params.width"] >= 4].state) == {"ok"}
    # What did not come out finite is kept as it was.
    assert np.isinf(gamma[gamma["params.width"] == 4].mmd).all()
    assert np.isinf(delta.sw1).all()
    assert (table[table.state == "ok"].failure == "").all()


def test_specs_are_complete(finished, engine):
    table = read_results(finished, engine)
    for line in table.itertuples():
        spec = RunSpec.parse(line.spec)
        assert engine.key(spec) == line.key
        assert (spec.phase, spec.replicate) == (line.phase, line.replicate)


def test_confirmation_is_of_the_best_finalist(finished, engine):
    table = read_results(finished, engine)
    for method in ("alpha", "beta", "gamma"):
        rows = table[table.method == method]
        trials = rows[(rows.phase == "search") & (rows.replicate == 0) & (rows.state == "ok")]
        finalists = set(trials[np.isfinite(trials.mmd)].nsmallest(2, "mmd").trial)
        again = rows[(rows.phase == "search") & (rows.replicate > 0)]
        assert set(again.trial) == finalists
        winner = again.groupby("trial").mmd.mean().idxmin()
        assert set(rows[rows.phase == "confirm"].trial) == {winner}
        assert list(rows[rows.phase == "confirm"].replicate) == [0, 1, 2]


@pytest.mark.parametrize("method", ["alpha", "epsilon"])
def test_artifacts_are_ordered_best_first(finished, engine, method):
    ranked = confirmed(read_results(finished, engine), method)
    with np.load(finished / "samples" / f"{method}-ring-walk.npz", allow_pickle=False) as file:
        samples, replicate = file["samples"], file["replicate"]
    assert samples.shape == (3 * 4, 2)
    assert list(replicate) == list(np.repeat(ranked.replicate, 4))
    # The fake engine's samples, parameters and times are one number per run.
    np.testing.assert_array_equal(
        samples[:, 0], np.repeat(ranked.train_seconds, 4).astype(np.float32)
    )
    best_one = np.float32(ranked.train_seconds.iloc[0])
    with np.load(finished / "fields" / f"{method}-ring-walk.npz", allow_pickle=False) as file:
        assert set(file) == {"energy", "score", "paths", "extent"}
        assert file["energy"][0, 0] == best_one
        assert file["extent"] == 4.0
    with np.load(finished / "curves" / f"{method}-ring-walk.npz", allow_pickle=False) as file:
        assert list(file["keys"]) == list(ranked.key)
        np.testing.assert_array_equal(file["curves"][:, 1, 2], ranked.train_seconds)
        np.testing.assert_array_equal(file["checkpoints"][:, 3, 1], ranked.train_seconds)
        assert file["curves"].shape == (3, 2, 3)
        assert list(file["names"]) == ["mmd"]
        assert file["least"] == 1.5
    path = finished / "models" / f"{method}-ring-walk.safetensors"
    assert load_file(path)["0.weight"][0, 0, 0] == best_one
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["run"])["key"] == ranked.key.iloc[0]


def test_nothing_is_left_of_the_work(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".lock", "study.toml", "format.json", "environment.json", "code.json", "runs.jsonl",
        "optuna.journal", "results.csv", "results.parquet", "samples", "curves", "fields", "models",
    }  # fmt: skip
    assert not (finished / "samples" / "delta-ring-walk.npz").exists()


def test_networks_without_energy_have_no_energy_field(tmp_path, engine):
    study = make_study(methods=["alpha"], network={"kind": "score"})
    run(study, tmp_path, engine=engine)
    with np.load(tmp_path / "fields" / "alpha-ring-walk.npz") as file:
        assert set(file) == {"score", "paths", "extent"}


def test_status_of_a_finished_study(finished, engine):
    table = status(finished, engine).set_index("method")
    assert table.finished.all()
    assert table.loc["alpha", ["search_done", "search_total"]].tolist() == [14, 14]
    assert table.loc["truth", ["reference_done", "reference_total"]].tolist() == [3, 3]
    results = read_results(finished, engine)
    ranked = confirmed(results, "alpha")
    assert math.isclose(table.loc["alpha", "objective"], ranked.mmd.mean())
    assert table.loc["alpha", "winner"] == ranked.trial.iloc[0]
    assert table.loc["delta", "winner"] is pd.NA
    assert table.loc["delta", "failures"] == 10


def test_status_on_the_way(copied, engine):
    table = copied / "runs.jsonl"
    whole = table.read_bytes()
    lines = whole.splitlines(keepends=True)
    seen = []
    for count in range(0, len(lines) + 1, 7):
        table.write_bytes(b"".join(lines[:count]) + b'{"torn')
        frame = status(copied, engine)
        done = frame[["reference_done", "search_done", "confirm_done"]].sum().sum()
        assert done == count
        seen.append(int(frame.finished.sum()))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert table.read_bytes().endswith(b'{"torn')


@pytest.mark.parametrize("method", ["alpha", "beta", "gamma", "epsilon"])
def test_best_repeats_the_confirmed_runs(finished, tmp_path, engine, method):
    study = best(finished, method, "ring", engine=engine)
    path = tmp_path / "best.toml"
    path.write_text(study.to_toml())
    again = load_study(path, (), engine)
    assert again == study
    assert again.search.trials == 0
    run(again, tmp_path / "out", engine=engine)
    old = read_results(finished, engine)
    new = read_results(tmp_path / "out", engine)
    assert list(confirmed(new, method).key) == list(confirmed(old, method).key)
    assert list(confirmed(new, method).mmd) == list(confirmed(old, method).mmd)


def test_best_of_several_samplers(tmp_path, engine):
    study = make_study(methods=["alpha"], samplers=["walk", "jump"])
    run(study, tmp_path, engine=engine)
    table = read_results(tmp_path, engine)
    means = table[table.phase == "confirm"].groupby("sampler").mmd.mean()
    assert best(tmp_path, "alpha", "ring", engine=engine).samplers[0].label == means.idxmin()
    worst = best(tmp_path, "alpha", "ring", means.idxmax(), engine=engine)
    assert worst.samplers[0].label == means.idxmax()


def test_best_refuses(finished, engine):
    with pytest.raises(UsageError, match="did you mean 'alpha'"):
        best(finished, "alpa", "ring", engine=engine)
    with pytest.raises(UsageError, match="no confirmation runs"):
        best(finished, "delta", "ring", engine=engine)


def test_replay_is_identical_and_reads_only(finished, engine):
    before = contents(finished)
    table = replay(finished, engine=engine)
    tuned = table[~table.method.isin(["truth", "exact", "untrained"])]
    assert set(tuned.method) == {"alpha", "beta", "gamma", "epsilon"}
    ranked = {(row.method, row.replicate) for row in tuned.itertuples()}
    confirmations = read_results(finished, engine).query("phase == 'confirm'")
    assert ranked == set(zip(confirmations.method, confirmations.replicate, strict=True))
    assert len(table[table.method == "truth"]) == 3 * 4
    assert set(table.verdict) == {"identical"}
    assert set(table.changed) == {""}
    assert contents(finished) == before
    every = replay(finished, engine=engine, rows=1)
    runs = every.groupby(["method", "trial", "replicate"], dropna=False).ngroups
    assert runs == len(
        read_results(finished, engine).drop_duplicates(["method", "trial", "replicate"])
    )
    part = replay(finished, engine=engine, rows=0.2)
    assert 0 < len(part) < len(every)


def test_replay_in_processes(finished, engine):
    assert set(replay(finished, "alpha", engine=engine, workers=2).verdict) == {"identical"}


def test_replay_tells_small_from_large_differences(finished):
    table = read_results(finished, FakeEngine())
    floor = table[table.method == "truth"].mmd.std()
    value = confirmed(table, "alpha").mmd.iloc[0]
    tolerance = 1e-3 * abs(value) + 0.01 * floor

    def verdict(tilt):
        replayed = replay(finished, "alpha", engine=FakeEngine(tilt=tilt))
        alpha = replayed[(replayed.method == "alpha") & (replayed.stored == value)]
        return alpha.set_index("metric").verdict["mmd"]

    assert verdict(0.9 * tolerance) == verdict(-0.9 * tolerance) == "within tolerance"
    assert verdict(1.1 * tolerance) == verdict(-1.1 * tolerance) == "differs"


class Elsewhere(FakeEngine):
    def environment(self):
        return "other", {"machine": "fake", "packages": {"torch": "2"}}


class Sick(FakeEngine):
    def _run(self, spec, keep):
        return self._diverged(spec)


def test_replay_names_what_changed(finished):
    changed = replay(finished, "alpha", engine=Elsewhere()).changed
    assert set(changed) == {"packages.torch"}
    changed = replay(finished, "alpha", engine=FakeEngine(code="2")).changed
    assert set(changed) == {"code of the method"}


def test_replay_that_diverges_differs(finished):
    assert set(replay(finished, "alpha", engine=Sick()).verdict) == {"differs"}


def test_replay_refuses(finished, tmp_path, engine):
    with pytest.raises(UsageError, match="did you mean 'ring'"):
        replay(finished, "alpha", "rang", engine=engine)
    with pytest.raises(UsageError, match="no confirmation runs"):
        replay(finished, "delta", engine=engine)
    with pytest.raises(UsageError, match="does not exist"):
        replay(tmp_path / "nowhere", engine=engine)
