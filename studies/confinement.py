"""Close this process in for good, so that code of strangers reads and changes nothing else.

Linux only: Landlock guards files, a seccomp filter refuses the calls that Landlock does not know.
Both need no privileges, hold for the rest of the process, and are told by the words that are
returned. Elsewhere nothing is closed, and nothing is claimed.
"""

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_READ = 1 << 2 | 1 << 3  # files, folders
_WRITE_FILE = 1 << 1
# By version: all rights on files, as linux/landlock.h numbers them.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_EXECUTE = 1

# Calls that leave the process or change what Landlock does not guard: numbers on x86-64 and on
# 64-bit ARM, from asm/unistd.h; None where there is no such call.
_REFUSED: dict[str, tuple[tuple[int | None, int | None], ...]] = {
    "network": ((41, 198), (425, 425)),  # socket, io_uring_setup
    "processes": (
        # fork, vfork, execve, execveat, ptrace, kill, tkill, rt_sigqueueinfo, pidfd_open,
        # process_vm_readv, process_vm_writev
        (57, None), (58, None), (59, 221), (322, 281), (101, 117), (62, 129), (200, 130),
        (129, 138), (434, 434), (310, 270), (311, 271),
    ),
    "permissions": (
        # chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat, utime, utimes,
        # futimesat, utimensat, setxattr, lsetxattr, fsetxattr, removexattr, lremovexattr,
        # fremovexattr
        (90, None), (91, 52), (268, 53), (452, 452), (92, None), (93, 55), (94, None), (260, 54),
        (132, None), (235, None), (261, None), (280, 88), (188, 5), (189, 6), (190, 7), (197, 14),
        (198, 15), (199, 16),
    ),
    "shared memory and keys": (
        # shmget, shmat, msgget, semget, mq_open, add_key, request_key, keyctl
        (29, 194), (30, 196), (68, 186), (64, 190), (240, 180), (248, 217), (249, 218), (250, 219),
    ),
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, 56), "aarch64": (0xC00000B7, 220)}
"""Number of the architecture, and of the call ``clone`` on it."""

_CLONE3, _TGKILL = 435, {"x86_64": 234, "aarch64": 131}
_X32 = 0x40000000
_THREAD = 0x00010000
_EPERM, _ENOSYS = 1, 38


def confine(folder: Path) -> list[str]:
    """Leave this process its own program to read, and one folder to read and write.

    Args:
        folder: The folder.

    Returns:
        What was closed, a sentence each; empty if this machine cannot, and then nothing is.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES or struct.calcsize("P") != 8:
        return []
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 3 or library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return []
    if not (_guard_files(library, version, folder) and _refuse_calls(library, machine)):
        return []
    return [
        f"files: reads its own program and the entry, writes one folder (Landlock {version})",
        f"refused: {', '.join(_REFUSED)} (seccomp)",
    ]


def _guard_files(library: ctypes.CDLL, version: int, folder: Path) -> bool:
    rights = (1 << _RIGHTS[min(version, max(_RIGHTS))]) - 1
    handled = struct.pack("Q", rights)
    rules = library.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return False
    allowed = dict.fromkeys(_program(), _READ)
    allowed |= {folder: rights & ~_EXECUTE, Path("/dev/null"): _WRITE_FILE | 1 << 2}
    try:
        return all(_allow(library, rules, *pair) for pair in allowed.items()) and not (
            library.syscall(_RESTRICT_SELF, rules, 0)
        )
    finally:
        os.close(rules)


def _allow(library: ctypes.CDLL, rules: int, path: Path, rights: int) -> bool:
    """Allow what is done beneath a path; one that does not exist needs no rule."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        if not path.is_dir():
            rights &= 1 << 2 | _WRITE_FILE
        rule = struct.pack("=Qi", rights, place)
        return not library.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _program() -> Iterable[Path]:
    """List the folders of this package, of Python, and of the libraries and facts they need."""
    names = sysconfig.get_paths()
    yield Path(__file__).resolve().parents[1]
    for kind in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(names[kind])
    yield Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    for name in ("dist-packages", "site-packages"):
        yield from (Path(path) for path in sys.path if Path(path).name == name)
    for path in (
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
        "/etc/ld.so.cache", "/etc/localtime", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
        "/proc/self", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom",
    ):  # fmt: skip
        yield Path(path)


def _refuse_calls(library: ctypes.CDLL, machine: str) -> bool:
    """Install a filter for all threads that refuses the calls above, and new processes."""
    column = list(_MACHINES).index(machine)
    refused = [pair[column] for calls in _REFUSED.values() for pair in calls]
    program = _filter(machine, sorted(number for number in refused if number is not None))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    return not library.prctl(_SET_SECCOMP, _FILTER, header, 0, 0)


def _filter(machine: str, refused: Iterable[int]) -> list[bytes]:
    """Write the filter: a classic BPF program over number, architecture and arguments of a call."""
    architecture, clone = _MACHINES[machine]

    def load(offset: int) -> bytes:
        return struct.pack("HBBI", 0x20, 0, 0, offset)

    def jump(kind: int, value: int, yes: int, no: int) -> bytes:
        return struct.pack("HBBI", kind, yes, no, value)

    def give(value: int) -> bytes:
        return struct.pack("HBBI", 0x06, 0, 0, value)

    equal, above, has = 0x15, 0x35, 0x45
    error, allowed, killed = 0x00050000, 0x7FFF0000, 0x80000000
    program = [load(4), jump(equal, architecture, 1, 0), give(killed), load(0)]
    if machine == "x86_64":
        program += [jump(above, _X32, 0, 1), give(error | _EPERM)]
    for number in refused:
        program += [jump(equal, number, 0, 1), give(error | _EPERM)]
    # The C library then starts its threads by clone, whose flags a filter can see.
    program += [jump(equal, _CLONE3, 0, 1), give(error | _ENOSYS)]
    program += [
        jump(equal, clone, 0, 3), load(16), jump(has, _THREAD, 1, 0), give(error | _EPERM),
        load(0), jump(equal, _TGKILL[machine], 0, 3), load(16),
        jump(equal, os.getpid(), 1, 0), give(error | _EPERM), give(allowed),
    ]  # fmt: skip
    return program
