"""Calibration of the statistics of restarts on simulated studies.

``python -m tests.calibration.restarts [STUDIES]`` prints the tables; 2,000 studies per line take
ten minutes. A loss is dataset scale × (method scale × noise of the restart + noise that all methods
share in the restart), both noises with the same distribution.
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
"""Standard deviation of single restarts by dataset."""
NOISIER = 5.0
MOST = 12


@dataclass(frozen=True)
class Law:
    """A distribution of the noise of restarts, with mean 0 and standard deviation 1.

    Attributes:
        shape: "normal", "exponential", or the sigma of a log-normal distribution.
        unequal: "" for equal spreads, "method" if the first method is five times noisier, "cells"
            if the spread of every cell is log-normal (sigma 1).
    """

    shape: str
    unequal: str = ""

    most = 200

    def __str__(self) -> str:
        shape = self.shape if self.shape.isalpha() else f"log-normal {self.shape}"
        return (
            shape + {"": "", "method": ", one 5× noisier", "cells": ", cells unequal"}[self.unequal]
        )

    def draw(self, generator: np.random.Generator, size: tuple[int, ...]) -> Array:
        if self.shape == "normal":
            return generator.standard_normal(size)
        if self.shape == "exponential":
            return generator.exponential(size=size) - 1
        variance = float(self.shape) ** 2
        values = np.exp(float(self.shape) * generator.standard_normal(size)) - np.exp(variance / 2)
        return values / np.sqrt((np.exp(variance) - 1) * np.exp(variance))

    def studies(
        self, generator: np.random.Generator, count: int, methods: int, datasets: int, restarts: int
    ) -> Array:
        """Draw losses of identical methods, shape (count, methods, datasets, restarts)."""
        own = self.draw(generator, (count, methods, datasets, restarts))
        if self.unequal == "method":
            own[:, 0] *= NOISIER
        if self.unequal == "cells":
            own *= np.exp(generator.standard_normal((count, methods, datasets, 1)))
        shared = self.draw(generator, (count, 1, datasets, restarts))
        return (own + shared) * SCALES[:datasets, None]

    def unit(self, datasets: int, restarts: int) -> float:
        """Return the standard error of the difference of two methods of equal spread."""
        return float(np.sqrt((SCALES[:datasets] ** 2).sum() * 2 / restarts)) / datasets


LAWS = (
    Law("normal"), Law("exponential"), Law("0.5"), Law("1"), Law("normal", "method"),
    Law("exponential", "method"), Law("0.5", "method"), Law("1", "method"), Law("normal", "cells"),
)  # fmt: skip


def plain(losses: Array) -> Array:
    """Return p-values of paired t tests (Satterthwaite), without moderation."""
    first, second = np.triu_indices(losses.shape[-3], 1)
    restarts = losses.shape[-1]
    differences = losses[:, first] - losses[:, second]
    variances = differences.var(-1, ddof=1) / restarts
    freedom = variances.sum(-1) ** 2 * (restarts - 1) / (variances**2).sum(-1)
    t = differences.mean((-2, -1)) / np.sqrt(variances.sum(-1)) * differences.shape[-2]
    return np.asarray(2 * stats.t.sf(np.abs(t), freedom))


def percent(flags: Array) -> str:
    """Format the share of true flags in %."""
    return f"{100 * np.mean(flags):5.1f}"


def null_errors(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Return in which studies of identical methods any pair is decided: here, and plain."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    pairs = methods * (methods - 1) // 2
    return (
        (compare(losses).adjusted() <= 0.05).any(-1),
        (plain(losses) <= 0.05 / pairs).any(-1),
    )


def null_errors_with_looks(law: Law, methods: int, datasets: int, count: int, seed: int = 0):
    """Return in which studies of identical methods any pair is decided at any look."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, MOST)
    return (decide(losses, rounds(MOST), MOST).direction != 0).any(-1)


def power(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Return in which studies a difference of 3.9 standard errors is decided: here, and plain."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    losses[:, -1] += 3.9 * law.unit(datasets, restarts)
    pairs = methods * (methods - 1) // 2
    return compare(losses).adjusted()[:, -1] <= 0.05, plain(losses)[:, -1] <= 0.05 / pairs


def partly_null(law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0):
    """Return which studies make a false claim if the second half of the methods is worse."""
    losses = law.studies(np.random.default_rng(seed), count, methods, datasets, restarts)
    half = methods // 2
    losses[:, half:] += 8 * law.unit(datasets, restarts)
    better = compare(losses).better()
    better[:, :half, half:] = False
    return better.any((-2, -1))


def coverage(law: Law, datasets: int, restarts: int, count: int, seed: int = 0):
    """Return which 95 % intervals of scores cover the truth, 0; shape (studies, methods)."""
    losses = law.studies(np.random.default_rng(seed), count, 4, datasets, restarts)
    means = scores(losses)
    half = stats.t.isf(0.025, means.freedom) * means.error
    student = means.value - half, means.value + half
    return tuple((low <= 0) & (high >= 0) for low, high in (means.interval(0.025), student))


def forecast_power(law: Law, datasets: int, pilot: int, gap: float, count: int, seed: int = 0):
    """Return the power with the restarts that a pilot study of the true difference asks for.

    Args:
        gap: Difference of the last two of four methods, in spreads of a restart's difference.
    """
    generator = np.random.default_rng(seed)
    shift = gap * law.unit(datasets, 1)
    comparisons = compare(law.studies(generator, count, 4, datasets, pilot))
    comparisons.difference.value[:, -1] = shift
    comparisons.p_value[:] = 1.0
    needed = pilot + restarts_needed(comparisons)[:, -1]
    total = needed[needed <= law.most].astype(int)
    decided = np.zeros(len(total), dtype=bool)
    for restarts in np.unique(total):
        rows = total == restarts
        losses = law.studies(generator, int(rows.sum()), 4, datasets, int(restarts))
        losses[:, -1] += shift
        decided[rows] = compare(losses).adjusted()[:, -1] <= 0.05
    return decided, total


def best_calibration(
    law: Law, methods: int, datasets: int, restarts: int, count: int, seed: int = 0
):
    """Compare Pr(best) with frequencies in five bins; true scores are normal.

    Returns:
        Mean Pr(best), frequency and size per bin, each of shape (5,).
    """
    generator = np.random.default_rng(seed)
    losses = law.studies(generator, count, methods, datasets, restarts)
    width = law.unit(datasets, restarts) * generator.choice([0.5, 1.0, 2.0, 4.0], (count, 1))
    truth = width * generator.standard_normal((count, methods))
    losses += truth[..., None, None]
    probability = np.array([probability_best(study, draws=1000) for study in losses])
    best = truth == truth.min(1, keepdims=True)
    bins = np.minimum((probability * 5).astype(int), 4)
    size = np.array([(bins == b).sum() for b in range(5)])
    mean, frequency = (
        np.array([values[bins == b].mean() for b in range(5)]) for values in (probability, best)
    )
    return mean, frequency, size


def best_gap(mean: Array, frequency: Array, size: Array) -> float:
    """Return the mean distance of Pr(best) from its frequency."""
    filled = size > 0
    return float((np.abs(mean - frequency) * size)[filled].sum() / size.sum())


def failures(rate: float, datasets: int, restarts: int, count: int, seed: int = 0):
    """Return in which studies of identical methods with random failures any pair is decided."""
    generator = np.random.default_rng(seed)
    losses = Law("normal").studies(generator, count, 4, datasets, restarts)
    losses[generator.random(losses.shape) < rate] = np.inf
    return (compare(losses).adjusted() <= 0.05).any(-1)


def rounds_needed(law: Law, datasets: int, gap: float, small: float, count: int, seed: int = 0):
    """Compare four methods in rounds; the last differs from the others by ``gap``.

    Args:
        gap: The difference, in standard errors after the most restarts.
        small: Smallest difference that matters, in the same unit.

    Returns:
        Per study, of the last two methods: whether they are decided, whether the difference is
        called small, the restarts when settled; and whether any claim of the study is false.
    """
    losses = law.studies(np.random.default_rng(seed), count, 4, datasets, MOST)
    losses[:, -1] += gap * law.unit(datasets, MOST)
    decision = decide(losses, rounds(MOST), MOST, small * law.unit(datasets, MOST))
    moved = decision.last.second == 3
    wrong = (decision.direction != 0) & ~moved | (decision.direction > 0) & (gap > 0)
    wrong |= decision.small & moved & (gap >= small)
    restarts = np.where(decision.settled_at > 0, decision.settled_at, MOST)[:, -1]
    return decision.direction[:, -1] < 0, decision.small[:, -1], restarts, wrong.any(-1)


def main(count: int) -> None:
    """Print all tables."""
    print(f"{count} studies per line; 4 methods by default; standard error of a share of 5 %:",
          f"{100 * np.sqrt(0.05 * 0.95 / count):.1f}")  # fmt: skip
    print("\nIdentical methods: studies with a claim, %: here (paired t)")
    print("Columns: numbers of methods (m), datasets (d) and restarts (r)")
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
    print("\nA pair 3.9 standard errors apart: decided, %: here (paired t)")
    for law in LAWS:
        row = [power(law, *case, count) for case in cases]
        print(f"{law!s:28}", *(f"{percent(a)} ({percent(b)})" for a, b in row), flush=True)
    print("\nCoverage of intervals of scores, %: Hall (Student); the first method, the others")
    for law in LAWS:
        for d in (1, 4):
            row = [coverage(law, d, r, count) for r in (3, 5, 10)]
            cells = [f"{percent(h[:, part])} ({percent(s[:, part])})"
                     for h, s in row for part in (slice(1), slice(1, None))]  # fmt: skip
            print(f"{law!s:28}", f"{d}d", *cells, flush=True)
    print("\nPr(best): mean and frequency in five bins")
    for law in LAWS:
        for m, d, r in ((4, 1, 3), (4, 4, 3), (4, 4, 5)):
            mean, frequency, size = best_calibration(law, m, d, r, count // 2)
            gap = best_gap(mean, frequency, size)
            cells = (f"{p:.2f} {f:.2f} ±{np.sqrt(f * (1 - f) / n):.2f}"
                     for p, f, n in zip(mean, frequency, size, strict=True))  # fmt: skip
            print(f"{law!s:28} {m}m{d}d{r}r", *cells, f"mean gap {gap:.3f}", sep=" | ", flush=True)
    print("\nPower where 80 % is forecast (restarts): pilot of 3, 5; difference of .8, 1.5 spreads")
    for law in LAWS:
        row = [forecast_power(law, d, pilot, gap, count // 4)
               for d in (1, 4) for pilot in (3, 5) for gap in (0.8, 1.5)]  # fmt: skip
        print(f"{law!s:28}", *(f"{percent(x)} ({np.median(n):.0f})" for x, n in row), flush=True)
    print(f"\nLooks at {rounds(MOST)}: decided, called small, mean restarts, studies with an error")
    for law in LAWS:
        for gap, small in ((0, 6), (6, 6), (5, 2)):
            row = [rounds_needed(law, d, gap, small, count) for d in (1, 4)]
            cells = (
                f"{percent(a)} {percent(b)} {n.mean():5.1f} {percent(e)}" for a, b, n, e in row
            )
            print(f"{law!s:28} difference {gap} smallest {small}", *cells, sep=" | ", flush=True)
    print("\nRandom failures of identical methods: studies with a claim, %")
    for rate in (0.05, 0.2, 0.5):
        row = [failures(rate, d, r, count) for d in (1, 4) for r in (3, 5, 10)]
        print(f"{rate:.0%}", *map(percent, row), flush=True)


if __name__ == "__main__":
    start = time.process_time()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
    print(f"\n{time.process_time() - start:.0f} s")
