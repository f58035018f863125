"""The one error caused by user input; any other exception is a bug."""

import difflib
import sys
import traceback
import unicodedata
from collections.abc import Iterable
from pathlib import Path


class UsageError(ValueError):
    """Invalid input; the message is one line with the value, the problem and the fix.

    The command line prints it without a traceback and exits with status 2. Text from files may be
    part of the message, so it is made ``visible``.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(visible(message))


def visible(text: str) -> str:
    r"""Write characters that control a terminal, or hide or reorder text, as ``\u001b``.

    Line ends and tabs stay. TOML and JSON read the result as the same text.
    """
    if text.isprintable():
        return text
    return "".join(escaped(c) if _hidden(c) else c for c in text)


def _hidden(character: str) -> bool:
    kind = unicodedata.category(character)
    return character not in "\n\t" and (kind[0] == "C" or kind in ("Zl", "Zp"))


def escaped(character: str) -> str:
    r"""Write a character as TOML and JSON can, ``\u00e9``."""
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for an unknown name of a kind, as ``"dataset"``; it suggests the nearest."""
    valid = sorted(known)
    near = difflib.get_close_matches(name.lower(), valid, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}: {hint}(known: {', '.join(valid)})")


def require_within(
    option: str, value: object, least: float, most: float, *, whole: bool = True
) -> None:
    """Raise ``UsageError`` unless an option is a number in a range, a ``whole`` one or any."""
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        kind = "an integer" if whole else "a number"
        raise UsageError(f"{option} = {value!r}: it must be {kind} from {least} to {most}")


def first_line(error: BaseException) -> str:
    """Describe an exception by its type and the first line of its message."""
    return f"{type(error).__name__}: {error}".split("\n")[0]


def in_one_line(error: BaseException, length: int = 500) -> str:
    """Describe an exception by its type and its whole message in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:length]


def told(error: BaseException, module: str) -> str:
    """Describe an exception for the author of a plug-in: file and line, type and message.

    Args:
        error: The exception.
        module: Module of the plug-in; the last of its lines that the exception came by is named,
            or its file alone.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    # A module whose import failed is no longer there: the exception comes from its last line.
    own = [frame for frame in frames if file in (None, frame.filename)]
    where = ""
    if own:
        where = f"{_name(own[-1].filename)} line {own[-1].lineno}: "
    elif file is not None:
        where = f"{_name(file)}: "
    return where + first_line(error)


def _name(file: str) -> str:
    # The file of a plug-in that a study carries is called <mine.py>.
    return Path(file).name.strip("<>")
