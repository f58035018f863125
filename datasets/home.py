"""The user's own folders, for files that only save time or questions."""

import os
from pathlib import Path
from typing import Literal

import platformdirs

_PACKAGE = __name__.split(".")[0]


def user_folder(kind: Literal["cache", "state"], variable: str) -> Path | None:
    """Return the folder that an environment variable names, else the user's own.

    Returns:
        None if the variable is empty, or the user has no home.
    """
    given = os.environ.get(variable)
    if given is not None:
        return Path(given) if given else None
    find = {"cache": platformdirs.user_cache_dir, "state": platformdirs.user_state_dir}[kind]
    try:
        return Path(find(_PACKAGE, appauthor=False))
    except (RuntimeError, OSError, KeyError):
        return None
