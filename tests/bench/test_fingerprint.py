"""Fingerprints: every change that can alter a number shows, and nothing else does."""

import ast
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import catalogue
import pytest
from scorebench.bench import fingerprint
from scorebench.bench.fingerprint import code_of, fingerprints, run_key
from scorebench.bench.spec import EvaluationSpec, NetworkSpec, Phase, Plugin, RunSpec, TrainingSpec
from scorebench.bench.syntax import dump
from scorebench.datasets import UsageError, datasets
from scorebench.datasets.steady import steady

Edit = Callable[[str, str], None]


def spec(
    method: str = "dsm", dataset: str = "rings", sampler: str = "langevin", phase: Phase = "search"
) -> RunSpec:
    return RunSpec(
        phase=phase,
        seed=1,
        method=Plugin(name=method),
        dataset=Plugin(name=dataset),
        sampler=Plugin(name=sampler),
        network=NetworkSpec(),
        training=TrainingSpec(steps=10),
        evaluation=EvaluationSpec(),
    )


def forget(plugin: str | None = None) -> None:
    catalogue.REGISTRY.pop(("scorebench", "datasets", plugin), None)
    for cached in (fingerprint._fingerprints, fingerprint._source, fingerprint._read):
        cached.cache_clear()


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Append text to a module of a copy of the package, which the fingerprints then read."""
    for room in ("datasets", "methods", "bench"):
        shutil.copytree(
            fingerprint._ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.pyc")
        )
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)
    forget()

    def append(file: str, text: str) -> None:
        path = tmp_path / file
        path.write_text(path.read_text("utf-8") + text, "utf-8")
        forget()

    yield append
    forget()


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("methods/objectives/dsm.py", {"method"}),
        ("datasets/rings.py", {"dataset"}),
        ("methods/sampling/langevin.py", {"sampler"}),
        ("bench/metrics/mmd.py", {"metrics"}),
        ("bench/metrics/sliced_wasserstein.py", {"metrics"}),
        ("bench/run.py", {"core"}),
        ("bench/streams.py", {"core"}),
        ("datasets/base.py", {"core"}),
        ("bench/metrics/base.py", {"core"}),
        ("methods/networks.py", {"core"}),
        ("methods/random.py", {"core"}),
        ("methods/objectives/ssm.py", set()),
        ("datasets/checkerboard.py", set()),
        ("methods/sampling/annealed_langevin.py", set()),
        ("bench/environment.py", set()),
        ("bench/fingerprint.py", set()),
        ("datasets/errors.py", set()),
    ],
)
def test_a_change_shows_in_its_part(edit: Edit, file: str, parts: set[str]) -> None:
    before, code, key = fingerprints(spec()), code_of(spec()), run_key(spec())
    edit(file, "\n_another = 1\n")
    after = fingerprints(spec())
    assert {part for part in before if before[part] != after[part]} == parts
    assert (code_of(spec()) != code) == bool(parts)
    assert (run_key(spec()) != key) == bool(parts)


def test_comments_docstrings_and_layout_do_not_show(edit: Edit) -> None:
    before = code_of(spec())
    for file in ("methods/objectives/dsm.py", "bench/metrics/mmd.py", "datasets/rings.py"):
        edit(file, "\n\n\n# A remark.\n'''A remark that documents nothing.'''\n")
    assert code_of(spec()) == before


def test_new_modules_are_followed(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "methods" / "helper.py").write_text("from . import deeper\n")
    (tmp_path / "methods" / "deeper.py").write_text("VALUE = 1\n")
    edit("methods/objectives/dsm.py", "\ndef late():\n    from ..helper import VALUE\n")
    before = fingerprints(spec())
    edit("methods/deeper.py", "VALUE = 2\n")
    after = fingerprints(spec())
    assert after["method"] != before["method"]
    assert after["core"] == before["core"]


def test_parts_differ_between_plugins() -> None:
    assert fingerprints(spec("ssm"))["method"] != fingerprints(spec("dsm"))["method"]
    assert (
        fingerprints(spec(dataset="8gaussians"))["dataset"]
        != fingerprints(spec(dataset="rings"))["dataset"]
    )
    assert len({code_of(spec(name)) for name in ("dsm", "ssm", "deen")}) == 3


def test_key_is_of_the_spec_and_of_the_code() -> None:
    assert run_key(spec()) == spec().key(code_of(spec()))
    assert run_key(spec()) != run_key(spec().model_copy(update={"seed": 2}))


@pytest.mark.parametrize("name", ["truth", "exact", "untrained"])
def test_references_have_a_fingerprint(name: str) -> None:
    sampler = "iid" if name == "truth" else "langevin"
    parts = fingerprints(spec(name, sampler=sampler, phase="reference"))
    assert set(parts) == {"core", "method", "dataset", "sampler", "metrics"}


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'dsm'"):
        code_of(spec("dsmm"))
    with pytest.raises(UsageError, match="did you mean 'rings'"):
        code_of(spec(dataset="ring"))
    with pytest.raises(UsageError, match="sampler"):
        code_of(spec(sampler="annealed"))


def test_a_plugin_of_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    package = tmp_path / "elsewhere_toys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "shared.py").write_text("RADIUS = 1\n")
    (package / "moons.py").write_text(
        "from elsewhere_toys.shared import RADIUS\n"
        "from scorebench.datasets import datasets\n"
        "@datasets.register('elsewhere_moons')\nclass Moons:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    request.addfinalizer(lambda: forget("elsewhere_moons"))
    __import__("elsewhere_toys.moons")
    forget()
    before = fingerprints(spec(dataset="elsewhere_moons"))
    (package / "shared.py").write_text("RADIUS = 2\n")
    forget()
    after = fingerprints(spec(dataset="elsewhere_moons"))
    assert {part for part in before if before[part] != after[part]} == {"dataset"}


def test_a_plugin_without_a_file(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    module = types.ModuleType("typed_in")
    monkeypatch.setitem(sys.modules, "typed_in", module)
    request.addfinalizer(lambda: forget("typed_in"))
    plugin = type("TypedIn", (), {"__module__": "typed_in"})
    datasets.register("typed_in")(plugin)
    with pytest.raises(UsageError, match="the source of typed_in cannot be read"):
        code_of(spec(dataset="typed_in"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = 'None'"),
        ("x = a[1:]", "x = a[:1]"),
        ("f(a, *b)", "f(a, b)"),
        ("f(**a)", "f(a=a)"),
        ("def f(a, /): return a", "def f(a): return a"),
        ("def f(a, *, b=1): return a", "def f(a, b=1): return a"),
        ("if a:\n  b()\nc()", "if a:\n  b()\n  c()"),
        ("x = -1", "x = +1"),
        ("x = {1: 2}", "x = {1, 2}"),
        ("x = f'{a}'", "x = f'{a!r}'"),
    ],
)
def test_code_that_differs_is_told_apart(one: str, other: str) -> None:
    assert dump(ast.parse(one)) != dump(ast.parse(other))


def test_code_that_reads_differently_is_the_same() -> None:
    one = 'def f(a):\n    """Text."""\n    return (a\n        + 1)  # why\n'
    assert dump(ast.parse(one)) == dump(ast.parse("def f(a): return a + 1"))
    named = "'''Module.'''\nX = 1\n'''What X is.'''\n"
    assert dump(ast.parse(named)) == dump(ast.parse("X = 1"))
    assert dump(ast.parse("x = 'a'")) == dump(ast.parse('x = "a"'))


def test_does_not_load_torch() -> None:
    code = (
        "import sys\nfrom scorebench.bench.fingerprint import code_of\n"
        "from scorebench.bench.spec import RunSpec\n"
        f"code_of(RunSpec.parse({spec().canonical()!r}))\n"
        "assert not {'torch', 'optuna', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fingerprints_do_not_depend_on_how_arithmetic_is_set() -> None:
    before = fingerprints(spec())
    forget()
    with steady():
        inside = fingerprints(spec())
    forget()
    assert inside == before


def test_every_earlier_identity_belongs_to_the_present_code():
    stale = [
        module
        for module, entry in fingerprint.same_code().items()
        if entry["code"] != fingerprint.module_code(module)
    ]
    assert not stale, (
        f"the code of {', '.join(stale)} has changed: if its numbers are the same to the bit, run "
        "python -m tests.same_code COMMIT; if they moved, remove it from bench/same_code.json"
    )
