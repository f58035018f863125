"""The shape of the house: what imports what, and how large files are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["datasets", "methods", "bench", "studies", "reports"]
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path):
    """Absolute names of the scorebench modules that a file imports, at any level of nesting."""
    package = ["scorebench", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            yield ".".join([*base, *([node.module] if node.module else [])])
            if node.module is None:
                yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_there_is_something_to_check():
    assert len(SOURCES) > 50


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_their_left(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for path in (ROOT / room).rglob("*.py"):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "scorebench":
                assert parts[1:2], f"{path} imports the top of the package"
                assert parts[1] in allowed, f"{path} imports {name}"


def test_no_import_circle_between_modules():
    edges = {}
    for path in SOURCES:
        name = ".".join(["scorebench", *path.relative_to(ROOT).with_suffix("").parts])
        edges[name.removesuffix(".__init__")] = set(_modules(path))
    state = {}

    def visit(name, trail):
        if state.get(name) == "done" or name not in edges:
            return
        assert state.get(name) != "open", f"circle: {' -> '.join([*trail, name])}"
        state[name] = "open"
        for target in edges[name]:
            visit(target, [*trail, name])
        state[name] = "done"

    for name in edges:
        visit(name, [])


def _modules(path):
    """Modules that a file imports, inside functions too; not what only type checkers see."""
    package = ["scorebench", *path.relative_to(ROOT).parent.parts]
    tree = ast.parse(path.read_text())
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in unseen:
            base = package[: len(package) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                folder = ROOT.joinpath(*inner.split(".")[1:])
                yield inner if folder.with_suffix(".py").exists() else module


def test_files_stay_small():
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 400, path


def test_nobody_reads_a_global_generator():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if called in ("torch.randn", "torch.rand", "torch.randint", "torch.randperm"):
                    assert any(k.arg == "generator" for k in node.keywords), f"{path}: {called}"
                assert not called.startswith(("np.random.rand", "random.", "torch.manual_seed")), (
                    path
                )
