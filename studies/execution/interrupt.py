"""Ctrl-C that is neither lost nor late."""

import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_PULSE = 0.1


class Interrupt:
    """Remembers Ctrl-C for as long as it is entered.

    Python alone may lose it. The main thread does not wake from waiting for a lock when the system
    hands the signal to another thread, and a ``KeyboardInterrupt`` that is raised within a callback
    or a destructor is printed and forgotten.

    Only Python's own handler is replaced, and only by the main thread: who handles the signal
    otherwise goes on doing so.
    """

    def __init__(self) -> None:
        self._asked = False
        self._held = 0
        self._ours = False

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the signal to Python again."""
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, *_: object) -> None:
        self._asked = True
        if not self._held:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise what was swallowed.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let something come to its end before Ctrl-C is heard.

        Raises:
            KeyboardInterrupt: At the end, if Ctrl-C was pressed.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self.check()

    def wait(
        self, futures: Collection["Future[T]"], seconds: float | None = None
    ) -> "set[Future[T]]":
        """Wait until one of the futures is done.

        Args:
            futures: What is waited for.
            seconds: For how long at most; without an end unless given.

        Returns:
            Those that are done; none if the time is over.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        done: set[Future[T]] = set()
        with self.held():
            while not done and not self._asked and (seconds is None or seconds > 0):
                pulse = _PULSE if seconds is None else min(_PULSE, seconds)
                done = wait(futures, timeout=pulse, return_when=FIRST_COMPLETED).done
                seconds = None if seconds is None else seconds - pulse
        return done
