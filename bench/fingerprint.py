"""Which code a run executes: a hash that changes when its numbers may change, and only then.

Nothing is listed by hand. Starting from the modules that define the run's plug-ins and from the
one that executes it, imports are followed through the source, without running it. What is hashed
is the syntax tree without docstrings, so comments, formatting and documentation are free to
change. Other packages (torch, NumPy) are the environment's business, not the code's.

Code that was rearranged and still computes the same bits keeps its identity: ``same_code.json``
lists, by module, the digest of the present code and the lines that stood for it before. When a
module changes, its entry no longer matches and the module counts as new: a forgotten entry
separates results, it never mixes them. ``python -m tests.same_code`` renews the file.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..datasets import datasets, get_dataset
from ..datasets.errors import UsageError
from ..datasets.registry import Registry
from ..methods import estimator, methods, references, samplers
from .metrics import metrics
from .plugins import module_of, registries
from .spec import SPLIT_SAMPLER, RunSpec
from .syntax import dump

_PACKAGE = __name__.split(".")[0]
_ROOT = Path(__file__).resolve().parents[1]
_CORE = f"{_PACKAGE}.bench.run"

SAME_CODE = Path(__file__).with_name("same_code.json")
"""Identities of modules that were rearranged without moving a bit."""

# These move values, messages and names about; no number depends on how they do it, and what a
# spec says is in the key beside the fingerprint.
_APART = {
    f"{_PACKAGE}.{name}"
    for name in (
        "datasets.errors",
        "datasets.registry",
        "bench.environment",
        "bench.fingerprint",
        "bench.plugins",
        "bench.spec",
        "bench.syntax",
    )
}

_PARTS = ("method", "dataset", "sampler", "metrics", "network")

# The sampler of the ``truth`` reference: fresh points of the dataset, no code of its own.
_NO_SAMPLER = "iid"


def run_key(spec: RunSpec) -> str:
    """Identity of a run under the code as it is now: same key, same numbers."""
    return spec.key(code_of(spec))


def code_of(spec: RunSpec) -> str:
    """Fingerprint of all code that the numbers of a run depend on, 16 hexadecimal digits."""
    parts = fingerprints(spec)
    return _digest(f"{part} {value}" for part, value in sorted(parts.items()))


def fingerprints(spec: RunSpec) -> dict[str, str]:
    """Fingerprints of the parts of a run, to tell which of them has changed.

    Returns:
        Digests of ``core`` (what every run executes), and of what ``method``, ``dataset``,
        ``sampler``, ``metrics`` and, where it is the user's own, ``network`` add to it.

    Raises:
        UsageError: A plug-in is unknown, or its source cannot be read.
    """
    known = references if spec.phase == "reference" else methods
    method = _module(known, spec.method.name)
    also = (plugin.name for plugin in spec.evaluation.also.values())
    split = [SPLIT_SAMPLER] if spec.evaluation.split else []
    used = {spec.sampler.name, *also, *split} - {_NO_SAMPLER}
    plugins = [
        (method,),
        (_module(datasets, spec.dataset.name),),
        tuple(_module(samplers, name) for name in sorted(used)),
        tuple(sorted({_module(metrics, plugin.name) for _, plugin in spec.evaluation.measured})),
    ]
    if spec.network.module is not None:
        plugins.append((module_of(spec.network.module.partition(":")[0]).__name__,))
    parts = dict(_fingerprints(*plugins))
    if spec.dataset.name not in datasets.builtin:
        # The code of a plug-in may read its data from elsewhere.
        from ..datasets.cache import drawn

        points = drawn(get_dataset(spec.dataset.name, **spec.dataset.options))
        parts["dataset"] = _digest([parts["dataset"], points])
    content = _content(spec)
    if content:
        parts["method"] = _digest([parts["method"], hashlib.sha256(content).hexdigest()])
    return parts


def _content(spec: RunSpec) -> bytes:
    """Return further input of a method, beside code and options: the content of its files."""
    method = None if spec.phase == "reference" else estimator(spec.method.name)
    return b"" if method is None else method().content(spec.method.options)


def parts_of(spec: RunSpec) -> dict[str, str]:
    """As ``fingerprints``, with a digest of each metric by itself, called ``metric NAME``."""
    parts = {part: value for part, value in fingerprints(spec).items() if part != "metrics"}
    measured = spec.evaluation.measured
    measures = {name: _module(metrics, plugin.name) for name, plugin in measured}
    return parts | {f"metric {name}": _apart(module) for name, module in measures.items()}


@cache
def _apart(module: str) -> str:
    return _digest_of(_closure([module]) - _closure([_CORE]))


@cache
def code_behind(module: str) -> str:
    """Fingerprint of a module, all that it imports, and every built-in plug-in it may ask for."""
    plugins = (entry.module for known in registries().values() for entry in known.builtin.values())
    return _digest_of(_closure([_CORE, module, *plugins]))


@cache
def _fingerprints(*plugins: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    # Cached for the life of the process: what it executes is what it has imported.
    core = _closure([_CORE])
    parts = {part: _closure(names) - core for part, names in zip(_PARTS, plugins, strict=False)}
    return tuple((part, _digest_of(modules)) for part, modules in {"core": core, **parts}.items())


def _module(registry: Registry[Any], name: str) -> str:
    """Import name of the module that defines a plug-in."""
    if name in registry.builtin:
        return registry.builtin[name].module
    return str(registry.get(name).__module__)


def _closure(modules: Iterable[str]) -> frozenset[str]:
    """The modules and all that they import, directly or not, from scorebench or their own package.

    The top-level ``__init__`` is left out: it only gathers names for users.
    """
    pending = list(modules)
    packages = {_PACKAGE, *(name.split(".")[0] for name in pending)}
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name in found or name in _APART or name == _PACKAGE:
            continue
        source = _source(name)
        if source is None:
            if name in modules:
                raise UsageError(f"the source of {name} cannot be read: define it in a file")
            continue
        found.add(name)
        pending += [used for used in _read(source, name)[1] if used.split(".")[0] in packages]
    return frozenset(found)


def _digest_of(modules: Iterable[str]) -> str:
    return _digest(sorted(line for name in modules for line in _identity(name)))


def _identity(module: str) -> list[str]:
    """Lines that stand for the code of a module: its name and digest, or those it had before."""
    digest = module_code(module)
    if digest is None:
        return []
    before = same_code().get(module)
    if before is not None and before["code"] == digest:
        return list(before["as"])
    return [f"{module} {digest}"]


def module_code(module: str) -> str | None:
    """Digest of a module's present code; None if it has no source."""
    path = _source(module)
    return None if path is None else _read(path, module)[0]


@cache
def same_code() -> dict[str, dict[str, Any]]:
    """Modules that compute what earlier code computed: digest now, and lines from before."""
    entries: dict[str, dict[str, object]] = json.loads(SAME_CODE.read_text(encoding="utf-8"))
    return entries


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _source(module: str) -> Path | None:
    """File of a module's source; None if there is no such module."""
    top, *rest = module.split(".")
    if top == _PACKAGE:
        base = _ROOT.joinpath(*rest)
        choices = [base / "__init__.py", base.with_suffix(".py")]
        return next((path for path in choices if path.is_file()), None)
    if module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
        if file is not None and _carried(module) is not None:
            return Path(file)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        file = spec.origin if spec is not None else None
    path = Path(file) if file is not None else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _carried(module: str) -> str | None:
    """Text of a module that a study carries with it instead of a file."""
    return getattr(sys.modules.get(module), "__source__", None)


@cache
def _read(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's code, and the names it imports (those of attributes among them)."""
    tree = ast.parse(_carried(module) or path.read_bytes())
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    uses = dict.fromkeys(name for node in ast.walk(tree) for name in _imported(node, package))
    return hashlib.sha256(dump(tree).encode()).hexdigest(), tuple(uses)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*(above if node.level else []), *([node.module] if node.module else [])])
        yield base
        # An imported name may be a module; if it is not, it has no source file.
        yield from (f"{base}.{alias.name}" for alias in node.names)
