"""Standard streams that decide about no study: closed, missing, full, hung up, or narrow.

What cannot be written to a terminal or a log is dropped. A program learns of it by ``lost``.
"""

import codecs
import io
import os
import sys
from typing import TextIO

from ...datasets.errors import escaped

_NAMES = ("stdout", "stderr")
_ERRORS = "scorebench"
_ASCII = {
    "±": "+-", "−": "-", "–": "-", "—": "-", "·": "*", "×": "x", "…": "...", "→": "->", "≤": "<=",
    "≥": ">=", "≈": "~", "²": "^2", "σ": "sigma", "ε": "epsilon", "’": "'", "“": '"', "”": '"',
    "\u00a0": " ", "\u202f": " ", "─": "-", "━": "-", "│": "|", "✓": "ok", "✗": "x",
}  # fmt: skip


class Settled(io.TextIOWrapper):
    """A standard stream whose text is dropped from the first time that it cannot be written.

    Attributes:
        lost: Why text was dropped; None if all was written.
    """

    lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Send what is buffered, and what this process and its workers print later, nowhere."""
        self.lost = self.lost or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def settle() -> None:
    """Settle the standard streams of a process of our own: a command, or a worker."""
    complete()
    codecs.register_error(_ERRORS, _plainly)
    for name in _NAMES:
        stream = getattr(sys, name)
        # Streams that a test or a notebook has put in their place are theirs.
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            settled = Settled(
                stream.buffer,
                stream.encoding,
                _ERRORS,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, settled)


def complete() -> None:
    """Open the null device in place of standard streams that are closed or missing.

    A file that is opened next would otherwise get the number of such a stream, and its text.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in _NAMES:
        stream: TextIO | None = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8"))


def lost(stream: TextIO) -> OSError | None:
    """Return why text of a standard stream was dropped, after a flush; None if all was written."""
    stream.flush()
    return stream.lost if isinstance(stream, Settled) else None


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by ASCII, or as TOML and JSON write them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_ASCII.get(char) or escaped(char) for char in characters), error.end
