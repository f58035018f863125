"""The command line as people use it: what it prints, where, and with which exit status."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from .commands import scorebench

NAMES = [
    "dsm",
    "deen",
    "ssm",
    "ssm_vr",
    "8gaussians",
    "2spirals",
    "checkerboard",
    "rings",
    "langevin",
    "annealed_langevin",
    "mmd",
    "sw1",
    "sw2",
    "quick",
    "seeds",
    "compare",
    "best",
    "best_scores",
    "samplers",
]

TIMINGS = r"_seconds$|^environment$"


def numbers(directory):
    table = pd.read_csv(Path(directory) / "results.csv")
    return table.drop(columns=[c for c in table.columns if re.search(TIMINGS, c)])


def snapshot(directory):
    return {
        path.relative_to(directory): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file()
    }


def test_help_and_list_load_nothing_heavy():
    code = (
        "import sys; sys.argv = ['scorebench', {!r}]\n"
        "from scorebench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {{'torch', 'optuna', 'pandas', 'matplotlib', 'scipy'}} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for word in ("--help", "list"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(word)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert re.search(rf"^\s+{name}\s", done.stdout, re.MULTILINE), name


def test_every_command_has_help_with_an_example():
    commands = ["list", "run", "status", "leaderboard", "report", "best", "replay", "export"]
    asked = scorebench(check=0)
    assert asked.stderr == ""
    page = scorebench("--help", check=0).stdout
    assert asked.stdout.strip() == page.strip()
    for command in commands:
        assert command in page
        assert "Example: scorebench" in scorebench(command, "--help", check=0).stdout


def test_run_leaves_what_it_promises(tiny_toml, tmp_path):
    done = scorebench("run", tiny_toml, "--workers", "2", cwd=tmp_path, check=0)
    directory = tmp_path / "runs" / "tiny"
    assert "report: runs/tiny/report.html" in done.stdout
    assert "dsm" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    for name in ("study.toml", "environment.json", "results.csv", "results.parquet",
                 "leaderboard.csv", "report.html", "samples/dsm-rings-langevin.npz",
                 "models/ssm-8gaussians-langevin.safetensors"):  # fmt: skip
        assert (directory / name).is_file(), name
    table = pd.read_csv(directory / "results.csv")
    pd.testing.assert_frame_equal(
        table[["phase", "method", "mmd"]],
        pd.read_parquet(directory / "results.parquet")[["phase", "method", "mmd"]],
        check_dtype=False,
    )
    first = ["phase", "method", "dataset", "sampler"]
    assert list(table.columns[:4]) == first
    assert {"state", "failure", "key", "mmd", "sw1", "sw2"} <= set(table.columns)
    counts = table.groupby("phase").size()
    assert counts["confirm"] == 4 * 3
    assert counts["search"] == 4 * (3 + 2)
    assert counts["reference"] == 2 * (4 + 2 + 2)

    before = snapshot(directory)
    again = scorebench("run", tiny_toml, cwd=tmp_path, check=0)
    assert again.stdout == done.stdout
    assert snapshot(directory) == before


def test_one_worker_two_workers_and_a_kill_give_the_same_table(tiny_toml, tiny_run, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "scorebench", "run", str(tiny_toml), "--workers", "2",
               "--out", str(out)]  # fmt: skip
    for rows in (5, 20, 33):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            log = out / "runs.jsonl"
            if log.exists() and log.read_bytes().count(b"\n") >= rows:
                break
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.communicate()
    scorebench("run", tiny_toml, "--workers", "2", "--out", out, check=0)
    pd.testing.assert_frame_equal(numbers(out), numbers(tiny_run), check_exact=True)
    for sample in ("dsm-rings-langevin.npz", "ssm-8gaussians-langevin.npz"):
        assert (out / "samples" / sample).read_bytes() == (
            tiny_run / "samples" / sample
        ).read_bytes()


def _hear():
    """Take Ctrl-C as from a terminal; what starts the tests may ignore it or hold it back."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def test_interrupting_says_how_to_go_on(tiny_toml, tmp_path):
    out = tmp_path / "stopped"
    running = subprocess.Popen(
        [sys.executable, "-m", "scorebench", "run", str(tiny_toml), "--out", str(out),
         "-o", "training.steps=20000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_hear,
    )  # fmt: skip
    while not (out / "runs.jsonl").exists():
        time.sleep(0.05)
        assert running.poll() is None
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, errors = running.communicate(timeout=60)
    assert time.monotonic() - sent < 2
    assert running.returncode == 130
    assert errors.strip().endswith("run the same command again to continue")
    assert "Traceback" not in errors


def test_out_of_time_says_how_to_go_on(tiny_toml, tmp_path):
    command = ["run", tiny_toml, "--out", tmp_path / "out", "--workers", "1"]
    done = scorebench(*command, "-o", "limits.study_seconds=1e-3", check=124)
    assert done.stderr.strip().endswith(
        "limits.study_seconds reached; run the same command again to continue"
    )
    assert done.stdout == ""
    scorebench(*command, check=0)


def test_a_grown_study_goes_on_and_a_changed_one_is_set_aside(tiny_toml, tiny_run, tmp_path):
    copy = shutil.copytree(tiny_run, tmp_path / "copy")
    command = ["run", tiny_toml, "--out", copy, "--workers", "1"]
    scorebench(*command, "-o", "confirm.seeds=4", check=0)
    old, new = numbers(tiny_run), numbers(copy)
    pd.testing.assert_frame_equal(
        new[(new.phase != "confirm") | (new.replicate < 3)].reset_index(drop=True), old
    )
    changed = [*command, "-o", "confirm.seeds=4", "-o", "training.steps=31"]
    assert "--discard 'dsm-*'" in scorebench(*changed, check=2).stderr
    scorebench(*changed, "--discard", "dsm-*", "--discard", "ssm-*", check=0)


def test_status_leaderboard_and_report(tiny_run, tmp_path):
    assert "finished" in scorebench("status", tiny_run, check=0).stdout
    text = scorebench("leaderboard", tiny_run, check=0).stdout
    assert max(map(len, text.splitlines())) <= 80
    csv = scorebench("leaderboard", tiny_run, "--format", "csv", check=0).stdout
    assert csv == (tiny_run / "leaderboard.csv").read_text()
    assert (
        len(json.loads(scorebench("leaderboard", tiny_run, "--format", "json", check=0).stdout))
        == 2
    )
    assert scorebench("leaderboard", tiny_run, "--format", "markdown", check=0).stdout.startswith(
        "|"
    )
    copy = shutil.copytree(tiny_run, tmp_path / "copy")
    (copy / "report.html").unlink()
    printed = scorebench("report", copy, check=0).stdout.strip()
    assert Path(printed).read_bytes() == (tiny_run / "report.html").read_bytes()


def test_best_is_a_study_that_repeats_the_confirmed_runs(tiny_run, tmp_path):
    toml = scorebench("best", tiny_run, "dsm", "rings", check=0).stdout
    (tmp_path / "my.toml").write_text(toml)
    scorebench("run", tmp_path / "my.toml", "--out", tmp_path / "again", check=0)
    wanted = numbers(tiny_run).query(
        "phase == 'confirm' and method == 'dsm' and dataset == 'rings'"
    )
    found = numbers(tmp_path / "again").query("phase == 'confirm'")
    for column in ("key", "mmd", "sw1", "sw2", "params.sigma"):
        assert list(found[column]) == list(wanted[column])


def test_replay_says_identical_and_touches_nothing(tiny_run):
    before = snapshot(tiny_run)
    everything = scorebench("replay", tiny_run, "--all", check=0).stdout
    assert "All 84 numbers of 28 runs are bitwise identical." in everything
    one = scorebench("replay", tiny_run, "ssm", "rings", check=0).stdout
    assert "All 33 numbers of 11 runs are bitwise identical." in one
    assert snapshot(tiny_run) == before


def test_replay_exits_with_1_when_numbers_differ(tiny_run, tmp_path):
    copy = shutil.copytree(tiny_run, tmp_path / "copy")
    lines = [json.loads(line) for line in (copy / "runs.jsonl").read_text().splitlines()]
    for line in lines:
        if line["phase"] == "confirm" and line["cell"][:2] == ["dsm", "rings"]:
            line["result"]["metrics"]["sw1"] *= 2
    (copy / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = scorebench("replay", copy, "dsm", "rings", check=1)
    assert "differs" in done.stdout


def test_a_changed_study_under_an_existing_directory_is_refused(tiny_toml, tiny_run):
    before = snapshot(tiny_run)
    done = scorebench("run", tiny_toml, "--out", tiny_run, "-o", "training.steps=31", check=2)
    assert re.search(r"training\.steps.*30.*31", done.stderr)
    assert snapshot(tiny_run) == before


def shell(command, **surroundings):
    """Run a command line of the shell, in which ``SB`` is scorebench."""
    line = command.replace("SB", f"{sys.executable} -m scorebench")
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=300, **surroundings
    )


@pytest.mark.parametrize("rest", [">&-", ">&- 2>&-", ">/dev/full 2>/dev/full", "<&- | true"])
def test_a_study_runs_whatever_becomes_of_its_output(rest, tiny_toml, tmp_path):
    less = "-o search.trials=2 -o training.steps=2 -o evaluation.samples=20 -o confirm.seeds=2"
    command = f"SB run {tiny_toml} --out x --workers 2 {less} {rest}; exit ${{PIPESTATUS[0]}}"
    assert shell(command, cwd=tmp_path).returncode == 0
    assert '"state":"failed"' not in (tmp_path / "x" / "runs.jsonl").read_text()
    assert (tmp_path / "x" / "report.html").exists()


def test_an_output_that_is_lost_is_told_where_it_is_the_product(tiny_run):
    for command in ("status", "leaderboard"):
        assert shell(f"SB {command} {tiny_run} >&-").returncode == 0
        full = shell(f"SB {command} {tiny_run} >/dev/full")
        assert full.returncode == 2
        assert full.stderr == (
            "scorebench: the output cannot be written: No space left on device\n"
        )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp437"])
def test_every_encoding_can_show_a_board(encoding, tiny_run):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "scorebench", "leaderboard", str(tiny_run)],
        capture_output=True, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.decode(encoding)


def test_the_end_of_a_name_decides_the_format(tiny_run, tmp_path):
    for name, start in {"b.csv": "rank_low,", "b.md": "|", "b.json": "[", "b.txt": "dsm"}.items():
        scorebench("leaderboard", tiny_run, "--out", tmp_path / name, check=0)
        assert start in (tmp_path / name).read_text()[:300]
    refused = scorebench("leaderboard", tiny_run, "--out", tmp_path / "b.xls", check=2)
    assert ".csv" in refused.stderr
    assert not (tmp_path / "b.xls").exists()


def test_a_study_without_results_says_why_and_its_failures_can_be_run_again(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(MINE)
    command = [
        "run", "quick", "--out", tmp_path / "x", "--workers", "1", "-o", f'plugins=["{plugin}"]',
        "-o", 'methods=["mine"]', "-o", 'datasets=["rings"]', "-o", "search.trials=2",
        "-o", "training.steps=2", "-o", "evaluation.samples=20", "-o", "confirm.seeds=2",
        "-o", "reference.floors=2", "-o", "reference.seeds=1", "-o", "search.restarts=1",
    ]  # fmt: skip
    done = scorebench(*command, check=1)
    assert "mine on rings (data) confirmed nothing (2 of 2 runs: train: OSError: " in done.stderr
    assert done.stdout.strip().endswith("report.html")
    scorebench(*command, "--retry", check=1)
    env = {**os.environ, "MENDED": "1"}
    again = subprocess.run(
        [sys.executable, "-m", "scorebench", *map(str, command), "--retry", "mine-*"],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    report = (tmp_path / "x" / "report.md").read_text()
    assert "Run again after a failure: search 0, replicate 0 of mine on rings" in report


MINE = """
import os
from scorebench.methods import methods
from scorebench.methods.objectives.base import ScoreMatching
@methods.register("mine")
class M(ScoreMatching):
    "One line."
    def space(self, trial):
        return {"k": trial.suggest_float("k", 0.1, 1.0)}
    def loss(self, model, x, rng, *, k):
        if "MENDED" not in os.environ:
            raise OSError("no space left on device")
        n = rng.normal_like(x)
        return (model.score(x + 0.1 * n) + n / 0.1).square().sum(-1).mean(-1)
"""
