"""A live view of a study's searches in Optuna's dashboard, which cannot touch what it shows."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.errors import UsageError
from ..studies.rundir.read import JOURNAL, read_study

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

HOST = "127.0.0.1"


def read_only(directory: str | Path) -> "JournalStorage":
    """The searches of a run directory as Optuna reads them; whoever writes is not disturbed.

    The journal is read without its lock and line by line, up to the last whole one; it follows a
    study that goes on.

    Args:
        directory: A run directory.

    Raises:
        UsageError: It is no run directory, or nothing has been searched in it.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    folder = Path(directory)
    read_study(folder)
    path = folder / JOURNAL
    if not path.is_file():
        raise UsageError(f"{str(folder)!r} has no {JOURNAL}: nothing has been searched in it yet")

    class View(BaseJournalBackend):
        """A journal that is only read."""

        def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
            with path.open("rb") as file:
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        return
                    if number >= log_number_from:
                        yield json.loads(line)

        def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
            raise UsageError(f"{str(path)!r} is shown, not changed")

    return JournalStorage(View())


def serve(directory: str | Path, port: int = 8080) -> None:
    """Show a run directory in Optuna's dashboard until interrupted, on this machine only.

    Args:
        directory: A run directory, of a study that runs or has ended.
        port: Where to listen.

    Raises:
        UsageError: See ``read_only``; or the dashboard is not installed, or the port is taken.
    """
    storage = read_only(directory)
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise UsageError(
            "the dashboard is not installed: pip install 'scorebench[dashboard]'"
        ) from error
    try:
        run_server(storage, host=HOST, port=port)
    except OSError as error:
        raise UsageError(f"cannot listen on port {port}: {error.strerror or error}") from error
