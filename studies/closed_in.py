"""Call a function on a stranger's entry in a process that is closed in, where that is possible.

The process is a new Python in isolated mode, with a clean environment, limits, and a folder of its
own that holds the entry. On Linux, without privileges, Landlock leaves it its own program to read
and that folder to write, and a seccomp filter refuses what Landlock does not guard: network, other
processes, permissions and owners of files, shared memory, keys. Code of the entry is executed only
there, or if a user has trusted it. The outcome says what was in force, and claims nothing else.
"""

import ctypes
import importlib
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..datasets.errors import UsageError
from ..datasets.private import is_private, user_folder
from .trust import Trusted, identified, trust

ENTRY = "entry"
_ANSWER, _ERRORS = "answer.json", "errors.txt"
_PACKAGE = Path(__file__).resolve().parents[1]
_NAME = __name__.split(".")[0]
"""The package's, which need not be that of its folder, as in a checkout."""
_CACHE = "SCOREBENCH_CACHE"
_LARGEST_FILE = 1 << 30
_REST = 300.0
"""Seconds for what is not counted: imports, checks of files, and the end of the last run."""

# Isolated Python does not look for the package where this process has found it.
_START = f"""
import importlib.util, sys
name, folder = {_NAME!r}, {str(_PACKAGE)!r}
spec = importlib.util.spec_from_file_location(
    name, folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
from {__name__} import answer
answer()
"""


def ask(
    function: str,
    folder: Path,
    seconds: float,
    trusted: Iterable[Trusted],
    request: Mapping[str, object],
    *,
    strange: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Call a function of this package in a process of its own.

    Args:
        function: Module and name, as ``"studies.verify:begin"``; it is called with the folder of
            the entry and the request, and returns plain JSON.
        folder: A folder that only this user can read; the entry is in ``entry`` in it.
        seconds: How long it may take, beside imports.
        trusted: Code that may run there, closed in or not.
        request: Keyword arguments, plain JSON.
        strange: Whether all code of the entry may run if closed in, which may forge the answer.

    Returns:
        What it returned, and how the process was closed in, a sentence each; none if it was not.

    Raises:
        UsageError: The function says so; or it fails, does not end in time, or has no answer.
    """
    from .rundir.strict import parse_json, read_text

    limit = seconds + _REST
    asked = {
        "function": function, "folder": str(folder), "seconds": limit, "trusted": list(trusted),
        "strange": strange, "request": request,
    }  # fmt: skip
    command = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _START]
    with (folder / _ERRORS).open("wb+") as errors:
        process = subprocess.Popen(  # noqa: S603 - this Python, with a text of our own
            command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, cwd=folder,
            env=_variables(folder), start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(json.dumps(asked).encode(), timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"its process was stopped after {limit:.0f} s") from error
        finally:
            with suppress(OSError):
                # With what it has started, where it could.
                os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read(1 << 20).decode("utf-8", "replace").strip().splitlines()
    try:
        # Code of the entry may have laid a link there.
        told = {} if (folder / _ANSWER).is_symlink() else parse_json(read_text(folder / _ANSWER))
        problem, value, closed = told["error"], dict(told["value"]), list(map(str, told["closed"]))
    except (OSError, ValueError, KeyError, TypeError) as damage:
        why = said[-1][:300] if said else f"status {process.returncode}"
        raise UsageError(f"its process ended without an answer: {why}") from damage
    if problem is not None:
        raise UsageError(str(problem)[:2000])
    return value, closed


def _variables(folder: Path) -> dict[str, str]:
    """List the variables of the process: none of the user's, but for those that change numbers."""
    from ..bench.environment import VARIABLES

    return {name: os.environ[name] for name in VARIABLES if name in os.environ} | {
        "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1",
        "SCOREBENCH_STATE": "", _CACHE: "", "NUMBA_CACHE_DIR": str(_compiled(folder)),
    }  # fmt: skip


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
        known = [Trusted(*item) for item in asked["trusted"]]
        _allow_code(folder / ENTRY, known, bool(closed) if asked["strange"] else None)
        module, _, name = asked["function"].partition(":")
        function = getattr(importlib.import_module(f"{_NAME}.{module}"), name)
        value = function(folder / ENTRY, **asked["request"])
    except UsageError as problem:
        error = str(problem).replace(str(folder / ENTRY), "the entry")
    said = {"error": error, "value": value, "closed": closed}
    (folder / _ANSWER).write_text(json.dumps(said), encoding="utf-8")


def _limit(seconds: float) -> None:
    """Limit the time of the processor, memory and files, where the system knows of limits."""
    with suppress(ImportError):
        import resource

        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limits = {"CPU": int(seconds) * (os.cpu_count() or 1), "DATA": memory, "CORE": 0}
        for name, value in {**limits, "FSIZE": _LARGEST_FILE}.items():
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _allow_code(entry: Path, known: Sequence[Trusted], closed: bool | None) -> None:
    """Let this process execute code that is known, or all that an entry brings.

    ``closed`` says whether it is closed in; None if it does without the rest of the code.
    """
    from .rundir.read import read_study

    code = read_study(entry).code
    theirs = [item for item in map(identified, code) if item not in known]
    if theirs and closed is False:
        raise UsageError(
            f"it contains code of its own ({', '.join(item.name for item in theirs)}), and this "
            "machine has no sandbox for it (that takes Linux with Landlock): read it with "
            "`scorebench show`, then `scorebench trust` it"
        )
    trust(source for source in code if closed or identified(source) in known)


_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_WRITE, _READ, _LIST, _EXECUTE = 1 << 1, 1 << 2, 1 << 3, 1
_RIGHTS = {3: 15, 4: 15, 5: 16}
"""Number of rights on files by version of Landlock, as linux/landlock.h has them."""

_CALLS = Path(__file__).with_name("system_calls.json")
_FIRST_UNKNOWN = 463
"""Later calls, among them ones that change attributes, are missing to the process."""

# By machine: column of its numbers, its own number, and those of two calls with arguments to check.
_MACHINES = {"x86_64": (0, 0xC000003E, 56, 234), "aarch64": (1, 0xC00000B7, 220, 131)}
_CLONE3 = 435
_THREAD = 0x00010000


def confine(folder: Path) -> list[str]:
    """Close this process in for good, but for one folder and its own program.

    Returns:
        How, a sentence each; empty if this machine cannot, and then code must not be run.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES or struct.calcsize("P") != 8:
        return []
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    no_new_privileges, set_seccomp, with_filter = 38, 22, 2
    if version < 3 or library.prctl(no_new_privileges, 1, 0, 0, 0):
        return []
    code = b"".join(struct.pack("HBBI", *step) for step in _filter(machine))
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    if not _guard_files(library, version, folder) or library.prctl(
        set_seccomp, with_filter, program, 0, 0
    ):
        return []
    return [
        f"files: read its program and the entry only, wrote one folder only (Landlock {version})",
        f"refused: {', '.join(_refused())} (seccomp)",
    ]


def _refused() -> dict[str, dict[str, list[int | None]]]:
    """Read the calls that are refused, by what they are for and by name."""
    calls: dict[str, Any] = json.loads(_CALLS.read_text(encoding="utf-8"))
    return {kind: named for kind, named in calls.items() if isinstance(named, dict)}


def _guard_files(library: ctypes.CDLL, version: int, folder: Path) -> bool:
    rights = (1 << _RIGHTS[min(version, max(_RIGHTS))]) - 1
    handled = struct.pack("Q", rights)
    rules = library.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    allowed = dict.fromkeys(_program(), _READ | _LIST)
    allowed |= {folder: rights & ~_EXECUTE, Path("/dev/null"): _READ | _WRITE}
    for path, own in allowed.items():
        # What does not exist needs no rule.
        with suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", own if path.is_dir() else own & (_READ | _WRITE), place)
            library.syscall(_ADD_RULE, rules, 1, rule, 0)
            os.close(place)
    return rules >= 0 and not library.syscall(_RESTRICT_SELF, rules, 0)


def _program() -> Iterator[Path]:
    """List what Python, this package and their libraries are read from."""
    yield _PACKAGE
    for kind in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(sysconfig.get_path(kind))
    yield from (Path(path) for path in sys.path if Path(path).name.endswith("-packages"))
    for path in (
        sysconfig.get_config_var("LIBDIR") or "/usr/lib", "/lib", "/lib64", "/usr/lib",
        "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime",
        "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/self", "/sys/devices/system",
        "/sys/fs/cgroup", "/dev/urandom",
    ):  # fmt: skip
        yield Path(path)


def _filter(machine: str) -> Iterator[tuple[int, int, int, int]]:
    """Write the filter in classic BPF: operation, steps over if true, if false, and a value."""
    load, equal, above, has, end = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, missing, kill = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    number, architecture, first_argument = 0, 4, 16
    column, own, clone, tgkill = _MACHINES[machine]
    yield load, 0, 0, architecture
    yield from [(equal, 1, 0, own), (end, 0, 0, kill), (load, 0, 0, number)]
    yield from [(above, 0, 1, _FIRST_UNKNOWN), (end, 0, 0, missing)]
    for numbers in (pair for calls in _refused().values() for pair in calls.values()):
        if (refused := numbers[column]) is not None:
            yield from [(equal, 0, 1, refused), (end, 0, 0, refuse)]
    # Then the C library starts its threads by clone, whose flags a filter can see.
    yield from [(equal, 0, 1, _CLONE3), (end, 0, 0, missing)]
    yield from [(equal, 0, 3, clone), (load, 0, 0, first_argument)]
    yield from [(has, 1, 0, _THREAD), (end, 0, 0, refuse), (load, 0, 0, number)]
    # Signals go to this process only.
    yield from [(equal, 0, 3, tgkill), (load, 0, 0, first_argument)]
    yield from [(equal, 1, 0, os.getpid()), (end, 0, 0, refuse), (end, 0, 0, allow)]
