"""Execution of runs: pools of workers, the scheduler that keeps them busy, events, interrupts."""
