"""The environment record: complete, plain, and without anything private."""

import getpass
import json
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch
from scorebench.bench.environment import checkout, environment, environment_id


def test_is_plain_json_and_the_same_again() -> None:
    record = environment()
    assert json.loads(json.dumps(record)) == record
    assert environment() == record


def test_records_everything_that_results_depend_on() -> None:
    record = environment()
    assert record["python"].endswith(platform.python_version())
    assert record["packages"]["optuna"] == metadata.version("optuna")
    assert set(record["packages"]) > {"torch", "numpy", "scipy", "pandas"}
    assert not {"pytest", "hypothesis"} & set(record["packages"])
    assert record["torch"]["version"] == torch.__version__
    assert record["threads"] == 1
    assert record["torch"]["vector_instructions"]
    assert record["cpu"]["model"]


def test_holds_nothing_private() -> None:
    def leaves(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in leaves(item)]
        if isinstance(value, list):
            return [text for item in value for text in leaves(item)]
        return [str(value)]

    texts = leaves(environment())
    assert not [text for text in texts if re.search(r"(^|[\s=:])(/\w|[A-Z]:\\|~/)", text)]
    private = {platform.node(), str(Path.home()), str(Path.cwd()), getpass.getuser()}
    private -= {"", "localhost"}
    assert not [text for text in texts for name in private if name == text]
    assert not [text for text in texts for name in private if len(name) > 4 and name in text]


def test_the_id_depends_on_the_facts_and_not_on_the_commit() -> None:
    record = environment()
    short = environment_id(record)
    assert re.fullmatch(r"[0-9a-f]{12}", short)
    assert environment_id({**record, "code": {"commit": "0" * 40, "modified": True}}) == short
    assert environment_id(json.loads(json.dumps(record))) == short
    for fact in ("python", "platform", "cpu", "threads", "packages", "torch"):
        assert environment_id({**record, fact: "another"}) != short


@pytest.mark.parametrize(
    "variable",
    ["MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE", "NUMBA_OPT", "NUMBA_CPU_NAME",
     "NUMBA_DISABLE_INTEL_SVML", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY"],
)  # fmt: skip
def test_settings_that_change_last_bits_are_recorded(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = environment()
    monkeypatch.setenv(variable, "1")
    after = environment()
    assert after == {**before, "settings": {**before.get("settings", {}), variable: "1"}}
    assert environment_id(after) != environment_id(before)


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_CACHE_DIR"])
def test_threads_and_folders_are_not_recorded(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = environment()
    monkeypatch.setenv(variable, "/private")
    assert environment() == before


def test_commit_of_a_checkout(tmp_path: Path) -> None:
    def git(*command: str) -> str:
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        line = ["git", "-C", str(tmp_path), *author, *command]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    assert checkout(tmp_path) is None
    git("init", "-q")
    assert checkout(tmp_path) is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    assert checkout(tmp_path) == {"commit": git("rev-parse", "HEAD"), "modified": False}
    (tmp_path / "file").write_text("2")
    assert checkout(tmp_path) == {"commit": git("rev-parse", "HEAD"), "modified": True}
    # A folder inside the checkout is not the checkout.
    (tmp_path / "inner").mkdir()
    assert checkout(tmp_path / "inner") is None


def test_a_missing_package_is_recorded_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda package: ["no-such-package-anywhere>=1"])
    assert environment()["packages"] == {"no-such-package-anywhere": None}
