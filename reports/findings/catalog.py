"""Everything that has a name: plug-ins, packaged studies and findings, listed or told apart."""

from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import api
from .command import refuse_finding

if TYPE_CHECKING:
    import pandas as pd

    from ...datasets.registry import Registry
    from ...studies.specs.spec import StudySpec


@wraps(api.run)
def run(study: "str | Path | StudySpec", *arguments: Any, **named: Any) -> api.Study:
    """Run a study; a finding is refused, and its command named."""
    return api.run(refuse_finding(study), *arguments, **named)


@wraps(api.load_study)
def load_study(name_or_path: str | Path, overrides: Sequence[str] = ()) -> "StudySpec":
    """Read a study; a finding is refused, and its command named."""
    return api.load_study(refuse_finding(name_or_path), overrides)


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
