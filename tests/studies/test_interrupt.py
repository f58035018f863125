"""Ctrl-C that Python alone would lose."""

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import Future

import pytest
from scorebench.studies.execution import interrupt as interrupt_module
from scorebench.studies.execution.interrupt import Interrupt, Stopped


@pytest.fixture(autouse=True)
def pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_at_once_where_nothing_is_deferred():
    with Interrupt(), pytest.raises(KeyboardInterrupt):
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_swallowed_by_a_callback_it_is_raised_again():
    future = Future()
    future.add_done_callback(lambda _: press())
    with Interrupt() as interrupt:
        with contextlib.suppress(KeyboardInterrupt):
            future.set_result(1)
        with pytest.raises(KeyboardInterrupt):
            interrupt.wait([Future()])


def test_a_deferred_block_comes_to_its_end():
    reached = []

    def hold(interrupt):
        with interrupt.deferred(), interrupt.deferred():
            press()
            reached.append("end")
        reached.append("beyond")

    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        hold(interrupt)
    assert reached == ["end"]


def test_a_signal_that_another_thread_took_ends_the_wait():
    def take():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        time.sleep(0.2)
        press()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with Interrupt() as interrupt:
            threading.Thread(target=take).start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                interrupt.wait([Future()], seconds=20)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert time.monotonic() - began < 2


def test_waiting_ends_in_time_and_with_the_first():
    one, other = Future(), Future()
    with Interrupt() as interrupt:
        assert interrupt.wait([one, other], seconds=0.15) == set()
        threading.Timer(0.2, one.set_result, [1]).start()
        assert interrupt.wait([one, other]) == {one}


def test_other_handlers_and_other_threads_keep_the_signal():
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    with Interrupt():
        press()
    assert heard == [1]
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def enter():
        with Interrupt():
            heard.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert heard == [1, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_to_end_stops_a_study_and_gives_its_status(number):
    def hold(interrupt):
        with interrupt.deferred():
            os.kill(os.getpid(), number)

    with Interrupt() as interrupt, pytest.raises(Stopped):
        hold(interrupt)
    assert interrupt_module.status() == 128 + number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_command_leaves_the_handlers_as_they_were():
    before = [signal.getsignal(number) for number in interrupt_module.SIGNALS]
    with pytest.raises(Stopped), interrupt_module.obeyed():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in interrupt_module.SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
