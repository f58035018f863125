"""Call a function on an entry of a stranger in a process that is closed in, where that is possible.

The process is a new Python in isolated mode, with a clean environment and limits on its time, its
memory and the size of its files. It has a folder of its own, with the unpacked entry in ``entry``.
Code of the entry is executed only if the process is closed in (``confinement``), or if a user has
trusted it.
"""

import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets.errors import UsageError
from ..datasets.private import is_private, user_folder
from .confinement import confine

ENTRY = "entry"
_ANSWER, _ERRORS = "answer.json", "errors.txt"
_PACKAGE = Path(__file__).resolve().parents[1]
_LARGEST_FILE = 1 << 30
_CACHE = "SCOREBENCH_CACHE"
_IMPORTS = 300.0
"""Seconds for what is not counted: imports, checks of files, and the end of the last run."""

# Isolated Python does not look for the package where this process has found it.
_START = f"""
import importlib.util, sys
name, folder = {__name__.split(".")[0]!r}, {str(_PACKAGE)!r}
spec = importlib.util.spec_from_file_location(
    name, folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
from {__name__} import answer
answer()
"""


class Answer(NamedTuple):
    """What a function returned, plain JSON that code of the entry may have forged, and how.

    Attributes:
        value: The value.
        confinement: What was closed, a sentence each; empty if nothing was.
    """

    value: dict[str, Any]
    confinement: tuple[str, ...]


def ask(
    function: str, folder: Path, seconds: float, trusted: bool, request: Mapping[str, object]
) -> Answer:
    """Call a function of this package in a process of its own.

    Args:
        function: Module and name, as ``"studies.verify:work"``; it is called with the folder of
            the entry and the request.
        folder: A folder that only this user can read; the entry is in ``entry`` in it.
        seconds: How long it may take, beside imports.
        trusted: Whether code of the entry may run without confinement.
        request: Keyword arguments, plain JSON.

    Raises:
        UsageError: The function says so; or it fails, does not end in time, or has no answer.
    """
    from ..bench.environment import VARIABLES
    from .rundir.strict import parse_json, read_text

    limit = seconds + _IMPORTS
    kept = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    clean = {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", "PATH": ""}
    clean |= {"NUMBA_CACHE_DIR": str(_compiled(folder)), "SCOREBENCH_CACHE": ""}
    words = {"function": function, "folder": str(folder), "trusted": trusted, "seconds": limit}
    command = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _START]
    with (folder / _ERRORS).open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - this Python, with a text of our own
            command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, cwd=folder,
            env={**kept, **clean, "SCOREBENCH_STATE": "", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(
                json.dumps({**words, "request": dict(request)}).encode(), timeout=limit
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"it did not end within {limit:.0f} s: it was stopped") from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        answered = parse_json(read_text(folder / _ANSWER))
        error, value, closed = (answered[name] for name in ("error", "value", "confinement"))
        found = Answer(dict(value), tuple(map(str, closed)))
    except (OSError, ValueError, KeyError, TypeError) as damage:
        with (folder / _ERRORS).open("rb") as file:
            said = file.read(_LARGEST_FILE).decode("utf-8", "replace").strip().splitlines()
        why = said[-1][:300] if said else f"status {process.returncode}"
        raise UsageError(f"it ended without an answer: {why}") from damage
    if error is not None:
        raise UsageError(str(error)[:2000])
    return found


def _compiled(folder: Path) -> Path:
    """Copy this user's machine code, which takes long to make and is used where it can be written.

    As elsewhere, none is taken from a folder that others can write to.
    """
    caches = [_PACKAGE / "methods" / "derivatives" / "__pycache__", user_folder("cache", _CACHE)]
    for compiled in (home for cache in caches if cache for home in cache.glob("compiled-*")):
        if is_private(compiled) and not (folder / "cache" / compiled.name).exists():
            shutil.copytree(compiled, folder / "cache" / compiled.name)
    return folder / "cache"


def answer() -> None:
    """Do in the new process what ``ask`` asks for, and write the answer."""
    asked = json.loads(sys.stdin.buffer.read())
    folder = Path(asked["folder"])
    _limit(asked["seconds"])
    closed = confine(folder)
    error, value = None, {}
    try:
        _allow_code(folder / ENTRY, bool(closed) or asked["trusted"])
        module, _, name = asked["function"].partition(":")
        function = getattr(importlib.import_module(f"{_PACKAGE.name}.{module}"), name)
        value = function(folder / ENTRY, **asked["request"])
    except UsageError as problem:
        error = str(problem).replace(str(folder / ENTRY), "the entry")
    said = {"error": error, "value": value, "confinement": closed}
    (folder / _ANSWER).write_text(json.dumps(said), encoding="utf-8")


def _limit(seconds: float) -> None:
    """Limit the time of the processor, the memory and files, where the system knows of limits."""
    with suppress(ImportError):
        import resource

        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cores = os.cpu_count() or 1
        limits = {"CPU": int(seconds * cores) + 1, "AS": memory, "FSIZE": _LARGEST_FILE, "CORE": 0}
        for name, value in limits.items():
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _allow_code(entry: Path, allowed: bool) -> None:
    """Let this process execute the code of an entry.

    Raises:
        UsageError: It has code, and may not.
    """
    from .rundir.read import read_study
    from .trust import trust

    code = read_study(entry).code
    if code and not allowed:
        names = ", ".join(item if isinstance(item, str) else item.file for item in code)
        raise UsageError(
            f"it runs code of its own ({names}), which this machine cannot close in (that takes "
            "Linux with Landlock): read it with `scorebench show`, then say --trust"
        )
    trust(code)
