"""The one error that is the user's to mend: every other exception is a defect of ours."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Bad input, told in one line: the value, why it cannot be, and what would be right.

    The command line prints it without a traceback and leaves with exit status 2.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not there, with the nearest valid one.

    Args:
        kind: What was asked for, in the singular, for example ``"dataset"``.
        name: The name that was given.
        known: The names that would have been right.
    """
    valid = sorted(known)
    near = difflib.get_close_matches(name.lower(), valid, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"there is no {kind} {name!r}: {hint}(known: {', '.join(valid)})")
