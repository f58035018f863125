"""The one error caused by user input; any other exception is a bug."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Invalid input; the message is one line with the value, the problem and the fix.

    The command line prints it without a traceback and exits with status 2.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for an unknown name; it suggests the nearest valid one.

    Args:
        kind: What the name stands for, in the singular, for example ``"dataset"``.
        name: The unknown name.
        known: The valid names.
    """
    valid = sorted(known)
    near = difflib.get_close_matches(name.lower(), valid, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}: {hint}(known: {', '.join(valid)})")
