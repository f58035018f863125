"""Workers whose time is simulated and a controller whose time is real, on one clock."""

import heapq
import itertools
import time
from concurrent.futures import Future, wait

from scorebench.studies.execution.pools import Pool


class Workers(Pool):
    """Workers whose runs take a fixed time of a clock that jumps while the controller waits.

    The clock counts the controller's own processor time, so that whatever else the machine does
    does not matter, and jumps to the next end of a task when the controller has nothing to do.

    Args:
        workers: How many.
        seconds: Time of a run; a task of several takes as often as long.
    """

    def __init__(self, workers, seconds=1.0):
        self.workers = workers
        self.capacity = 2 * workers
        self.busy = 0.0
        self._seconds = seconds
        self._jumped = 0.0
        self._order = itertools.count()
        # When each worker is free, and what is under way by when it ends.
        self._free = [self.now()] * workers
        self._ends = []
        self.began = self.now()

    def now(self):
        return time.process_time() + self._jumped

    def submit(self, task, seconds=None):
        future = Future()
        takes = self._seconds * len(task.args[1])
        starts = max(heapq.heappop(self._free), self.now())
        heapq.heappush(self._free, starts + takes)
        heapq.heappush(self._ends, (starts + takes, next(self._order), future, task))
        self.busy += takes
        return future

    def wait(self, futures, timeout=None, return_when=None):
        """Stands in for ``concurrent.futures.wait``."""
        self._settle()
        if self._ends and not any(future.done() for future in futures):
            self._jumped += self._ends[0][0] - self.now()
            self._settle()
        return wait(futures, timeout=0)

    def _settle(self):
        while self._ends and self._ends[0][0] <= self.now():
            _, _, future, task = heapq.heappop(self._ends)
            before = time.process_time()
            future.set_result(task())
            # What a run costs here is the worker's time, not the controller's.
            self._jumped -= time.process_time() - before

    def close(self, *, kill):
        pass

    @property
    def share(self):
        """Share of the workers' time in which they worked."""
        return self.busy / (self.workers * (self.now() - self.began))
