"""The package versions that a study was run with, as a requirements file."""

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

_GROUPS = ("scorebench_methods", "scorebench_datasets", "scorebench_samplers", "scorebench_metrics")


def requirements(environment: Mapping[str, Any], modules: Iterable[str] = ()) -> str:
    """Write a requirements file with the packages of an environment and all their dependencies.

    Args:
        environment: Record of the environment. Packages that it does not name get the versions
            that are installed now.
        modules: Plug-in modules whose packages belong to the study too.
    """
    packages = environment["packages"].items()
    recorded = {_canonical(name): version for name, version in packages if version}
    closure = _closure([*recorded, *_plugin_packages(modules)])
    versions = {name: _installed(name) for name in closure} | recorded
    code = environment.get("code") or {}
    commit = f", commit {code['commit']}" if code else ""
    changed = " (with uncommitted changes)" if code.get("modified") else ""
    lines = [
        f"# scorebench {environment.get('scorebench')}{commit}{changed}",
        f"# {environment.get('python')} on {environment.get('platform')}",
        "# Versions with +cpu or +cu... come from https://download.pytorch.org/whl.",
    ]
    lines += [f"{name}=={version}" for name, version in sorted(versions.items()) if version]
    return "\n".join(lines) + "\n"


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


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
