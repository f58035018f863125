"""Handle Ctrl-C so that it is neither lost nor delayed."""

import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

# Seconds after which a waiting thread looks for Ctrl-C.
_PULSE = 0.1


class Interrupt:
    """A handler that records Ctrl-C while it is entered.

    Python alone may lose the signal: the main thread does not wake from waiting for a lock when
    another thread gets the signal, and a ``KeyboardInterrupt`` that is raised in a callback or a
    destructor is printed and dropped.

    Only Python's default handler is replaced, and only in the main thread; any other handler stays
    in place.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._deferrals = 0
        self._installed = False

    def __enter__(self) -> Self:
        """Install the handler."""
        self._installed = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._installed:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore Python's handler."""
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, *_: object) -> None:
        self._pressed = True
        if not self._deferrals:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise an interrupt that was deferred.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._pressed:
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Complete a block before Ctrl-C takes effect.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed in the block.
        """
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1
        self.check()

    def wait(
        self, futures: Collection["Future[T]"], seconds: float | None = None
    ) -> "set[Future[T]]":
        """Wait until one of the futures is done.

        Args:
            futures: The futures.
            seconds: Longest time to wait (default: no limit).

        Returns:
            Futures that are done; empty if the time is over.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        done: set[Future[T]] = set()
        with self.deferred():
            while not done and not self._pressed and (seconds is None or seconds > 0):
                pulse = _PULSE if seconds is None else min(_PULSE, seconds)
                done = wait(futures, timeout=pulse, return_when=FIRST_COMPLETED).done
                seconds = None if seconds is None else seconds - pulse
        return done
