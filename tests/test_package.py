"""What is built for others to install: all of the package, none of its tests."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["datasets", "methods", "bench", "studies", "reports"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The sources in a place where building may leave things."""
    place = tmp_path_factory.mktemp("tree") / "scorebench-source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "runs")
    return shutil.copytree(ROOT, place, ignore=ignored)


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", out, tree)
    (found,) = out.glob("*.whl")
    return found


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_wheel_holds_every_module_and_file_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"scorebench/__init__.py", "scorebench/__main__.py", "scorebench/py.typed"}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wanted.add(f"scorebench/{path.relative_to(ROOT)}")
    found = {name for name in names if ".dist-info/" not in name}
    assert found == wanted


def test_source_distribution_can_be_tested(tree, tmp_path):
    code = "import sys, setuptools.build_meta as b; print(b.build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in ("constraints.txt", "Makefile", "LICENSE", "docs/concepts.md", "tests/conftest.py",
                 "tests/metrics/normal.py", "studies/presets/quick.toml"):  # fmt: skip
        assert path in names, path


def test_beside_another_package_called_datasets(wheel, tmp_path):
    place = tmp_path / "site"
    (place / "datasets").mkdir(parents=True)
    (place / "datasets" / "__init__.py").write_text("def load_dataset(name): return name\n")
    before = {path.name for path in place.iterdir()}
    pip("install", "--no-deps", "--target", place, wheel)
    after = {path.name for path in place.iterdir() if not path.name.endswith(".dist-info")}
    assert after - before - {"bin"} == {"scorebench"}
    code = (
        "import datasets, scorebench, sys\n"
        "assert datasets.load_dataset('x') == 'x'\n"
        "assert scorebench.__file__.startswith(sys.argv[1]), scorebench.__file__\n"
        "assert scorebench.get_dataset('rings').dim == 2\n"
        "from scorebench.__main__ import main\n"
        "sys.argv[1:] = ['list']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "quick" in done.stdout
