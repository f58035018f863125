"""The structure of the package: what imports what, sizes, unique names, what commands load."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["datasets", "methods", "bench", "studies", "reports"]
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
TREES = {path: ast.parse(path.read_text()) for path in [*SOURCES, *ROOT.glob("__*.py")]}

LONGEST_FILE = 350
LONGEST_FUNCTION = 60


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, inside functions too.

    Imports that only type checkers see do not count. Names are without ``scorebench``.
    """
    package = list(path.relative_to(ROOT).parent.parts)
    tree = TREES[path]
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    modules = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            modules |= {".".join(parts[1:]) for parts in names if parts[0] == "scorebench"}
        elif isinstance(node, ast.ImportFrom):
            absolute = (node.module or "").split(".") if node.module else []
            if node.level:
                base = [*package[: len(package) - node.level + 1], *absolute]
            elif absolute[:1] == ["scorebench"]:
                base = absolute[1:]
            else:
                continue
            for alias in node.names:
                inner = ROOT.joinpath(*base, alias.name)
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                modules.add(".".join([*base, alias.name] if is_module else base))
    return modules


IMPORTS = {path: imported(path) for path in TREES}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Nodes of one circle of a directed graph; empty if there is none."""
    finished: set[str] = set()

    def search(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in finished:
            return []
        for target in sorted(edges.get(node, ())):
            if found := search(target, [*trail, node]):
                return found
        finished.add(node)
        return []

    for node in sorted(edges):
        if found := search(node, []):
            return found
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_there_is_something_to_check():
    assert len(SOURCES) > 50
    assert "studies.plan" in IMPORTS[ROOT / "studies" / "progress.py"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_from_their_left(folder):
    allowed = set(FOLDERS[: FOLDERS.index(folder) + 1])
    for path in (ROOT / folder).rglob("*.py"):
        for name in IMPORTS[path]:
            assert name, f"{path} imports the top of the package"
            assert name.split(".")[0] in allowed, f"{path} imports {name}"


def test_no_import_circle_between_modules():
    assert circle({module_of(path): names for path, names in IMPORTS.items()}) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_arrow_points_up_inside_a_folder(folder):
    """A subfolder and the files beside it can be put in an order in which imports point down."""
    edges: dict[str, set[str]] = {}
    for path in (ROOT / folder).rglob("*.py"):
        here = path.relative_to(ROOT / folder).with_suffix("").parts[0]
        there = {name.split(".")[1] for name in IMPORTS[path] if name.startswith(f"{folder}.")}
        edges.setdefault(here, set()).update(there - {here})
    edges.pop("__init__", None)
    assert circle(edges) == []


def test_only_the_top_knows_findings():
    for path in SOURCES:
        if "findings" not in path.relative_to(ROOT).parts:
            assert not any("findings" in name.split(".") for name in IMPORTS[path]), path


def test_files_stay_small():
    for path in [*TREES, *(ROOT / "tests").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= LONGEST_FILE, path


def test_functions_stay_small():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= LONGEST_FUNCTION, f"{path}: {node.name} has {lines} lines"


def test_each_class_name_has_one_meaning():
    names = Counter(
        node.name for tree in TREES.values() for node in tree.body if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_product_file_is_named_like_a_test():
    assert [p for p in SOURCES if p.stem.startswith("test_") or p.stem.endswith("_test")] == []


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (["status"], ("matplotlib", "torch")),
        (["leaderboard", "--format", "csv"], ("matplotlib",)),
        (["leaderboard", "--format", "json", "--table", "cells"], ("matplotlib",)),
        (["leaderboard"], ("matplotlib",)),
    ],
    ids=" ".join,
)
def test_tables_load_no_drawing(command, heavy, tiny_run):
    code = (
        "import sys; from scorebench.__main__ import app; "
        f"app({[*command[:1], str(tiny_run), *command[1:]]!r}, standalone_mode=False); "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stderr.split()) & set(heavy)


def test_no_global_generator_is_read():
    for path in SOURCES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if called in ("torch.randn", "torch.rand", "torch.randint", "torch.randperm"):
                    assert any(k.arg == "generator" for k in node.keywords), f"{path}: {called}"
                assert not called.startswith(("np.random.rand", "random.", "torch.manual_seed")), (
                    path
                )
