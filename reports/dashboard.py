"""A live, read-only view of the searches of a study in Optuna's dashboard."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.errors import UsageError
from ..studies.rundir.read import JOURNAL, read_study

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

HOST = "127.0.0.1"


def read_only(directory: str | Path) -> "JournalStorage":
    """Return the searches of a run directory as read-only Optuna storage.

    The journal is read without its lock, line by line, up to the last complete line, so a running
    study is not disturbed and new trials appear.

    Raises:
        UsageError: It is not a run directory, or it has no search yet.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    folder = Path(directory)
    read_study(folder)
    path = folder / JOURNAL
    if not path.is_file():
        raise UsageError(f"{str(folder)!r} has no {JOURNAL}: it has no search yet")

    class View(BaseJournalBackend):
        """A read-only journal."""

        def read_logs(self, log_number_from: int) -> Generator[dict[str, object], None, None]:
            with path.open("rb") as file:
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        return
                    if number >= log_number_from:
                        yield json.loads(line)

        def append_logs(self, logs: list[dict[str, object]]) -> None:  # noqa: ARG002
            raise UsageError(f"{str(path)!r} is read-only here")

    return JournalStorage(View())


def serve(directory: str | Path, port: int = 8080) -> None:
    """Show a running or finished study in Optuna's dashboard until interrupted.

    Only this machine can reach the port.

    Raises:
        UsageError: See ``read_only``; or the dashboard is not installed, or the port is in use.
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
