"""What has changed between two environments or versions of the code, and what that can explain."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What the numbers of a run depend on besides its code, by what they are called in the record. All
# else in a record (Optuna, pandas, the number of cores ...) proposes, stores or shows numbers.
_CAUSES = {
    "cpu.model": "CPU",
    "torch.vector_instructions": "CPU",
    "torch": "torch",
    "packages.torch": "torch",
    "packages.numpy": "NumPy and SciPy",
    "packages.scipy": "NumPy and SciPy",
    "threads": "threads",
    "python": "Python",
    "platform": "operating system",
}

_ANY_CODE = "code of the method, dataset, sampler or metrics"


class Changed(NamedTuple):
    """Something that is not as it was.

    Attributes:
        field: Its name in the record of the environment, or ``code of the method`` and the like.
        before: What it was; None if that is not known.
        now: What it is.
        cause: Which part of the environment it belongs to (``CPU``, ``torch``, ``code of the
            method`` ...) if numbers can come from it; None if no number can.
    """

    field: str
    before: Any
    now: Any
    cause: str | None


def changes(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    code: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> tuple[Changed, ...]:
    """Everything that differs, the code first.

    Args:
        before: Record of the environment that a run was made in.
        now: That of its replay.
        code: If the run's code is not the same: fingerprints of its parts as they were (empty if
            not known) and as they are.
    """
    found = [] if code is None else list(_code(*code))
    found += (
        Changed(field, old, new, _cause(field)) for field, old, new in _fields(before, now, "")
    )
    return tuple(found)


def _code(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Changed]:
    if not before:
        yield Changed(_ANY_CODE, None, None, _ANY_CODE)
        return
    parts = [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]
    for part in parts:
        name = "code that all runs share" if part == "core" else f"code of the {part}"
        yield Changed(name, before.get(part), now.get(part), name)
    if not parts:
        # The key holds the run's settings too, and later versions have more of them.
        yield Changed("settings that a run has", None, None, "settings that a run has")


def _cause(field: str) -> str | None:
    for name, cause in _CAUSES.items():
        if field == name or field.startswith(f"{name}."):
            return cause
    return None


def _fields(before: Any, now: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    tables = [one for one in (before, now) if isinstance(one, Mapping)]
    if tables and all(one is None or isinstance(one, Mapping) for one in (before, now)):
        before, now = before or {}, now or {}
        for key in sorted({*before, *now}):
            yield from _fields(before.get(key), now.get(key), f"{prefix}{key}.")
    elif before != now:
        yield prefix.rstrip(".") or "environment", before, now
