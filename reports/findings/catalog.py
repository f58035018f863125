"""The catalogue of everything that has a name: plug-ins, packaged studies and findings."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ...datasets.registry import Registry


def catalog() -> list[tuple[str, str, str]]:
    """List kind, name and summary of every plug-in, packaged study and finding; load none."""
    from ...bench.plugins import registries
    from ...studies.specs.load import presets
    from . import findings

    return [
        *(entry for registry in registries().values() for entry in _entries(registry)),
        *(("study", name, summary) for name, summary in presets().items()),
        *_entries(findings),
    ]


def registered() -> "pd.DataFrame":
    """List everything that has a name: columns kind, name and summary."""
    import pandas as pd

    return pd.DataFrame(catalog(), columns=["kind", "name", "summary"])


def _entries(registry: "Registry[Any]") -> list[tuple[str, str, str]]:
    return [(registry.kind, name, registry.summary(name)) for name in registry.names()]
