"""The package versions that a study was run with, as a requirements file."""

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from ...bench.environment import version_of

_GROUPS = ("scorebench_methods", "scorebench_datasets", "scorebench_samplers", "scorebench_metrics")

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+")


def requirements(environment: Mapping[str, Any], modules: Iterable[str] = ()) -> str:
    """Write a requirements file with the packages of an environment and all their dependencies.

    Packages that the environment does not name get the versions that are installed now. Packages
    of plug-in ``modules`` belong to the study too.
    """
    packages = environment["packages"].items()
    # Others may have written these: a line for pip is a name and a version, never a URL or option.
    recorded = {
        _canonical(name): version
        for name, version in packages
        if _NAME.fullmatch(name) and _VERSION.fullmatch(str(version))
    }
    closure = _closure([*recorded, *_plugin_packages(modules)])
    versions = {name: version_of(name) for name in closure} | recorded
    code = environment.get("code") or {}
    commit = f", commit {code['commit']}" if code else ""
    changed = " (with uncommitted changes)" if code.get("modified") else ""
    lines = [
        f"# scorebench {environment.get('scorebench')}{commit}{changed}",
        f"# {environment.get('python')} on {environment.get('platform')}",
        "# Versions with +cpu or +cu... come from https://download.pytorch.org/whl.",
    ]
    lines += [f"{name}=={version}" for name, version in sorted(versions.items()) if version]
    return "".join(f"{' '.join(line.split())}\n" for line in lines)


def _closure(names: Iterable[str]) -> set[str]:
    """Collect packages and all that they require on this machine, without extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    pending, closure = list(names), set[str]()
    while pending:
        name = _canonical(pending.pop())
        if name in closure or name == "scorebench":
            continue
        closure.add(name)
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in required:
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return closure


def _plugin_packages(modules: Iterable[str]) -> set[str]:
    """Packages that provide plug-ins: through an entry point, or a module named in the study."""
    tops = {module.partition(".")[0] for module in modules}
    named = {
        package
        for top, packages in metadata.packages_distributions().items()
        if top in tops
        for package in packages
    }
    points = (point for group in _GROUPS for point in metadata.entry_points(group=group))
    return named | {point.dist.name for point in points if point.dist is not None}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
