"""How well the statistics of restarts keep their promises, on simulated studies.

``python -m tests.calibration.restarts [studies]`` prints the tables; 2,000 studies
a line take ten minutes. Losses are dataset scale × method scale × luck of the restart, plus what
all methods share in a restart, of the same law.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scorebench.reports.ranking.restarts import compare, probability_best, scores
from scorebench.reports.ranking.statistics import Array
from scorebench.reports.ranking.until_decided import decide, restarts_needed, rounds

SCALES = np.array([1.0, 0.5, 0.2, 2.0])
"""Spread of single restarts by dataset."""
NOISIER = 5.0
MOST = 12


@dataclass(frozen=True)
class Law:
    """A law of the luck of a restart, of mean 0 and standard deviation 1.

    Attributes:
        shape: "normal", "exponential", or the sigma of a log-normal law.
        unequal: "" for equal spreads, "method" where the first is five times noisier, "cells"
            where the spread of every cell is log-normal (sigma 1).
    """

    shape: str
    unequal: str = ""

    def __str__(self) -> str:
        shape = self.shape if self.shape.isalpha() else f"log-normal {self.shape}"
        return (
            shape + {"": "", "method": ", one 5× noisier", "cells": ", cells unequal"}[self.unequal]
        )

    def luck(self, generator: np.random.Generator, size: tuple[int, ...]) -> Array:
        if self.shape == "normal":
            return generator.standard_normal(size)
        if self.shape == "exponential":
            return generator.exponential(size=size) - 1
        v = float(self.shape) ** 2
        values = np.exp(float(self.shape) * generator.standard_normal(size)) - np.exp(v / 2)
        return values / np.sqrt((np.exp(v) - 1) * np.exp(v))

    def studies(
        self, generator: np.random.Generator, count: int, methods: int, datasets: int, restarts: int
    ) -> Array:
        """Losses of identical methods, shape (count, methods, datasets, restarts)."""
        own = self.luck(generator, (count, methods, datasets, restarts))
        if self.unequal == "method":
            own[:, 0] *= NOISIER
        if self.unequal == "cells":
            own *= np.exp(generator.standard_normal((count, methods, datasets, 1)))
        together = self.luck(generator, (count, 1, datasets, restarts))
        return (own + together) * SCALES[:datasets, None]


LAWS = (
    Law("normal"), Law("exponential"), Law("0.5"), Law("1"), Law("normal", "method"),
    Law("exponential", "method"), Law("0.5", "method"), Law("1", "method"), Law("normal", "cells"),
)  # fmt: skip


def unit(datasets: int, restarts: int) -> float:
    """Standard error of the difference of two methods of equal spread."""
    return float(np.sqrt((SCALES[:datasets] ** 2).sum() * 2 / restarts)) / datasets


def plain(losses: Array) -> Array:
    """p-values of paired t tests with Satterthwaite's degrees of freedom: nothing borrowed."""
    first, second = np.triu_indices(losses.shape[-3], 1)
    restarts = losses.shape[-1]
    apart = losses[:, first] - losses[:, second]
    parts = apart.var(-1, ddof=1) / restarts
    freedom = parts.sum(-1) ** 2 * (restarts - 1) / (parts**2).sum(-1)
    t = apart.mean((-2, -1)) / np.sqrt(parts.sum(-1)) * apart.shape[-2]
    return np.asarray(2 * stats.t.sf(np.abs(t), freedom))


def percent(flags: Array) -> str:
    return f"{100 * np.mean(flags):5.1f}"


def null_errors(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Studies of identical methods in which something is claimed: now, and with plain tests."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    pairs = methods * (methods - 1) // 2
    return (
        (compare(losses).adjusted() <= 0.05).any(-1),
        (plain(losses) <= 0.05 / pairs).any(-1),
    )


def null_errors_with_looks(law: Law, methods: int, datasets: int, count: int, seed: int = 0):
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, MOST)
    return (decide(losses, rounds(MOST), MOST).direction != 0).any(-1)


def power(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Whether the last two methods, 3.9 standard errors apart, are told apart: now, and plain."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    losses[:, -1] += 3.9 * unit(datasets, restarts)
    pairs = methods * (methods - 1) // 2
    return compare(losses).adjusted()[:, -1] <= 0.05, plain(losses)[:, -1] <= 0.05 / pairs


def partly_null(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Studies with a false claim where the second half of the methods is truly worse."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    half = methods // 2
    losses[:, half:] += 8 * unit(datasets, restarts)
    better = compare(losses).better()
    better[:, :half, half:] = False
    return better.any((-2, -1))


def coverage(law: Law, datasets: int, restarts: int, count: int, seed: int = 0):
    """Whether each score's 95 % interval holds the truth, 0; shape (studies, methods)."""
    losses = law.studies(np.random.default_rng(seed), count, 4, datasets, restarts)
    found = scores(losses)
    return tuple(
        (low <= 0) & (high >= 0) for low, high in (found.hall(0.025), found.student(0.025))
    )


def promised(law: Law, datasets: int, pilot: int, apart: float, count: int, seed: int = 0):
    """Power reached with the restarts that a pilot study asks for when it sees the true difference.

    Args:
        apart: Difference of the last two of four methods, in spreads of a restart's difference.
    """
    generator = np.random.default_rng(seed)
    shift = apart * unit(datasets, 1)
    seen = compare(law.studies(generator, count, 4, datasets, pilot))
    seen.difference.value[:, -1] = shift
    seen.p_value[:] = 1.0
    total = pilot + np.minimum(restarts_needed(seen)[:, -1], 200).astype(int)
    decided = np.zeros(count, dtype=bool)
    for restarts in np.unique(total):
        rows = total == restarts
        losses = law.studies(generator, int(rows.sum()), 4, datasets, int(restarts))
        losses[:, -1] += shift
        decided[rows] = compare(losses).adjusted()[:, -1] <= 0.05
    return decided, total


def best_calibration(
    law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0
):
    """Mean forecast and frequency in five bins of Pr(best); true scores are normal.

    Returns:
        Forecast, frequency and size per bin, each of shape (5,).
    """
    generator = np.random.default_rng(seed)
    losses = law.studies(generator, count, methods, datasets, restarts)
    width = unit(datasets, restarts) * generator.choice([0.5, 1.0, 2.0, 4.0], (count, 1))
    truth = width * generator.standard_normal((count, methods))
    losses += truth[..., None, None]
    said = np.array([probability_best(study, draws=1000) for study in losses])
    best = truth == truth.min(1, keepdims=True)
    bins = np.minimum((said * 5).astype(int), 4)
    size = np.array([(bins == b).sum() for b in range(5)])
    mean = [np.array([x[bins == b].mean() for b in range(5)]) for x in (said, best)]
    return mean[0], mean[1], size


def failures(rate: float, datasets: int, restarts: int, count: int, seed: int = 0):
    """Claims among identical methods whose restarts fail independently."""
    generator = np.random.default_rng(seed)
    losses = Law("normal").studies(generator, count, 4, datasets, restarts)
    losses[generator.random(losses.shape) < rate] = np.inf
    return (compare(losses).adjusted() <= 0.05).any(-1)


def rounds_needed(law: Law, datasets: int, apart: float, small: float, count: int, seed: int = 0):
    """The last two of four methods, ``apart``, with what is smaller than ``small`` of no interest.

    Both in standard errors at the most restarts.

    Returns:
        Per study: decided, called small, restarts when settled; and whether any claim is false.
    """
    losses = law.studies(np.random.default_rng(seed), count, 4, datasets, MOST)
    losses[:, -1] += apart * unit(datasets, MOST)
    found = decide(losses, rounds(MOST), MOST, small * unit(datasets, MOST))
    moved = found.last.second == 3
    wrong = (found.direction != 0) & ~moved | (found.direction > 0) & (apart > 0)
    wrong |= found.small & moved & (apart >= small)
    at = np.where(found.settled_at > 0, found.settled_at, MOST)[:, -1]
    return found.direction[:, -1] < 0, found.small[:, -1], at, wrong.any(-1)


def main(count: int) -> None:
    print(f"{count} studies a line; 4 methods unless said; one standard error of a share of 5 %:",
          f"{100 * np.sqrt(0.05 * 0.95 / count):.1f}")  # fmt: skip
    print("\nIdentical methods: studies with a claim, %. Datasets, restarts: now (paired t)")
    cases = [(4, d, r) for d in (1, 4) for r in (2, 3, 5, 10)] + [(8, 4, r) for r in (3, 5)]
    print(" " * 28, *(f"{m}m{d}d{r}r".rjust(14) for m, d, r in cases), "1d looks", "4d looks")
    for law in LAWS:
        row = [null_errors(law, *case, count) for case in cases]
        looks = [percent(null_errors_with_looks(law, 4, d, count)) for d in (1, 4)]
        print(f"{law!s:28}", *(f"{percent(a)} ({percent(b)})" for a, b in row), *looks, flush=True)
    print("\nHalf of the methods 8 standard errors worse: studies with a false claim, %")
    for law in LAWS:
        row = [percent(partly_null(law, m, d, r, count)) for m, d, r in cases]
        print(f"{law!s:28}", *(x.rjust(14) for x in row), flush=True)
    print("\nA pair 3.9 standard errors apart: told apart, %: now (paired t)")
    for law in LAWS:
        row = [power(law, *case, count) for case in cases]
        print(f"{law!s:28}", *(f"{percent(a)} ({percent(b)})" for a, b in row), flush=True)
    print("\nIntervals of scores hold the truth, %: Hall (Student); the first method, the others")
    for law in LAWS:
        for d in (1, 4):
            row = [coverage(law, d, r, count) for r in (3, 5, 10)]
            cells = [f"{percent(h[:, part])} ({percent(s[:, part])})"
                     for h, s in row for part in (slice(1), slice(1, None))]  # fmt: skip
            print(f"{law!s:28}", f"{d}d", *cells, flush=True)
    print("\nPr(best): said and true in five bins")
    for law in LAWS:
        for m, d, r in ((4, 1, 3), (4, 4, 3), (4, 4, 5)):
            said, true, size = best_calibration(law, m, d, r, count // 2)
            gap = float((np.abs(said - true) * size).sum() / size.sum())
            cells = (f"{s:.2f} {t:.2f} ±{np.sqrt(t * (1 - t) / n):.2f}"
                     for s, t, n in zip(said, true, size, strict=True))  # fmt: skip
            print(f"{law!s:28} {m}m{d}d{r}r", *cells, f"mean gap {gap:.3f}", sep=" | ", flush=True)
    print(
        "\nPower reached where 80 % are promised (restarts): pilot of 3, 5; apart .8, 1.5 spreads"
    )
    for law in LAWS:
        row = [
            promised(law, d, p, a, count // 4) for d in (1, 4) for p in (3, 5) for a in (0.8, 1.5)
        ]
        print(f"{law!s:28}", *(f"{percent(x)} ({np.median(n):.0f})" for x, n in row), flush=True)
    print(f"\nLooks at {rounds(MOST)}: decided, called small, mean restarts, studies with an error")
    for law in LAWS:
        for apart, small in ((0, 6), (6, 6), (5, 2)):
            row = [rounds_needed(law, d, apart, small, count) for d in (1, 4)]
            cells = (
                f"{percent(a)} {percent(b)} {n.mean():5.1f} {percent(e)}" for a, b, n, e in row
            )
            print(f"{law!s:28} apart {apart} matters {small}", *cells, sep=" | ", flush=True)
    print("\nFailures by chance among identical methods: studies with a claim, %")
    for rate in (0.05, 0.2, 0.5):
        row = [failures(rate, d, r, count) for d in (1, 4) for r in (3, 5, 10)]
        print(f"{rate:.0%}", *map(percent, row), flush=True)


if __name__ == "__main__":
    start = time.process_time()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
    print(f"\n{time.process_time() - start:.0f} s")
