"""Handle Ctrl-C, SIGTERM and SIGHUP so that none is lost or delayed."""

import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any, Self, TypeVar

T = TypeVar("T")

# Seconds after which a waiting thread looks for a signal.
_PULSE = 0.1


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end: Ctrl-C, a batch system, a terminal that is closed."""


_received: list[int] = [signal.SIGINT]


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        _received.append(number)


def status() -> int:
    """Return the exit status that tells the last signal, as shells do: 130, 143 or 129."""
    return 128 + _received[-1]


def stop(number: int, _: object) -> None:
    """Handle a signal that asks this process to end."""
    raise Stopped(number)


@contextmanager
def obeyed() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise ``Stopped``, as Ctrl-C does; an ignored one stays ignored."""
    own = (signal.SIG_DFL, signal.default_int_handler)
    handlers = ((number, signal.getsignal(number)) for number in SIGNALS)
    replaced = {number: handler for number, handler in handlers if handler in own}
    for number in replaced:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


class Interrupt:
    """A handler that records ``SIGNALS`` while it is entered.

    Python alone may lose a signal: the main thread does not wake from waiting for a lock when
    another thread gets the signal, and a ``KeyboardInterrupt`` that is raised in a callback or a
    destructor is printed and dropped.

    Only the handlers of Python and of ``obeyed`` are replaced, and only in the main thread; any
    other handler stays in place.
    """

    def __init__(self) -> None:
        self._pressed: int | None = None
        self._deferrals = 0
        self._replaced: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Install the handler."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                own = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                handler = signal.getsignal(number)
                if handler in (own, stop):
                    self._replaced[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the former handlers."""
        for number, handler in self._replaced.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self._pressed = number
        if not self._deferrals:
            raise Stopped(number)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Complete a block; only then raise ``Stopped`` if a signal came in it."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1
        if self._pressed is not None:
            raise Stopped(self._pressed)

    def wait(
        self, futures: Collection["Future[T]"], seconds: float | None = None
    ) -> "set[Future[T]]":
        """Wait, for ``seconds`` at most, until a future is done; return all that are (else none).

        Raises:
            Stopped: A signal asked this process to end.
        """
        done: set[Future[T]] = set()
        with self.deferred():
            while not done and self._pressed is None and (seconds is None or seconds > 0):
                pulse = _PULSE if seconds is None else min(_PULSE, seconds)
                done = wait(futures, timeout=pulse, return_when=FIRST_COMPLETED).done
                seconds = None if seconds is None else seconds - pulse
        return done
