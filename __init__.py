"""scorebench: tune, compare and reproduce score-matching methods on toys with exact truth.

The verbs of the command line, in Python::

    import scorebench as sb

    study = sb.run("quick")
    study.leaderboard()
    study.best("dsm", "rings")
    study.replay("dsm", "rings")
    sb.score(points, "rings")
"""

import sys
from typing import TYPE_CHECKING, Any

# Under ``python -m scorebench`` the current folder comes first, where a file of a stranger such as
# ``typer.py`` would hide an installed module.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))

if TYPE_CHECKING:
    from .datasets import get_dataset
    from .datasets.errors import UsageError
    from .reports.api import (
        Study,
        best,
        export,
        leaderboard,
        load_study,
        report,
        run,
        status,
    )
    from .reports.findings.api import finding
    from .reports.findings.catalog import registered
    from .reports.publishing.planning import planned
    from .reports.scoring import score
    from .reports.site import write_site
    from .studies.certificate import certify
    from .studies.foreign import trust
    from .studies.replay import replay
    from .studies.verify import verify

__all__ = [
    "Study",
    "UsageError",
    "best",
    "certify",
    "export",
    "finding",
    "get_dataset",
    "leaderboard",
    "load_study",
    "planned",
    "registered",
    "replay",
    "report",
    "run",
    "score",
    "status",
    "trust",
    "verify",
    "write_site",
]

__version__ = "0.1.0"

_HOMES = {
    "UsageError": "datasets.errors",
    "certify": "studies.certificate",
    "finding": "reports.findings.api",
    "get_dataset": "datasets",
    "planned": "reports.publishing.planning",
    "load_study": "reports.findings.catalog",
    "registered": "reports.findings.catalog",
    "replay": "studies.replay",
    "run": "reports.findings.catalog",
    "score": "reports.scoring",
    "trust": "studies.foreign",
    "verify": "studies.verify",
    "write_site": "reports.site",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: torch and pandas take seconds that `scorebench --help` has not.
    if name == "list":
        # The command's name; not in __all__, where it would hide Python's own.
        name = "registered"
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES.get(name, 'reports.api')}", __name__), name)
