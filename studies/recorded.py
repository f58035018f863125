"""Recorded searches as problems for Optuna: real losses on real seeds, looked up in microseconds.

This file needs NumPy and Optuna only. ``scorebench record`` writes a copy of it beside its table::

    from recorded import RecordedProblem

    problem = RecordedProblem("recorded.json", "dsm-rings-langevin", seed=3)
    study = optuna.create_study(directions=problem.directions)
    study.optimize(problem, n_trials=100)
    problem.true_loss(study.best_params), problem.best, problem.floor

A configuration between recorded ones has the losses of the nearest recorded one, in the unit cube
of the search space. A fitted surrogate would be smooth, and its noise that of no seed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.study import StudyDirection
from optuna.trial import Trial

FORMAT = 1
"""Version of the table."""

Value = str | int | float | bool | None


class RecordedCell:
    """The losses of one recorded search: of each configuration on each seed.

    Args:
        data: The cell in the table.

    Attributes:
        search_space: Distributions by name of the parameter.
        losses: By metric, shape (configurations, seeds); NaN where a run failed.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.search_space: dict[str, BaseDistribution] = {
            name: json_to_distribution(text) for name, text in data["space"].items()
        }
        self.losses: dict[str, NDArray[np.float64]] = {
            metric: np.array(rows, dtype=np.float64) for metric, rows in data["losses"].items()
        }
        self._points = np.array([self._place(values) for values in data["params"]])

    @property
    def seeds(self) -> int:
        """Number of seeds of every configuration."""
        return int(next(iter(self.losses.values())).shape[1])

    def nearest(self, params: Mapping[str, Value]) -> int:
        """Return the number of the nearest configuration; of equally near ones the first.

        Args:
            params: A value for every parameter.

        Raises:
            ValueError: A parameter is missing or unknown, or a value is outside of its range.
        """
        if params.keys() != self.search_space.keys():
            raise ValueError(
                f"parameters {', '.join(sorted(params))}: should be "
                f"{', '.join(sorted(self.search_space))}"
            )
        place = self._place([params[name] for name in self.search_space])
        return int(np.square(self._points - place).sum(1).argmin())

    def _place(self, values: Sequence[Value]) -> NDArray[np.float64]:
        """Return the place of a configuration in the unit cube; categories are one-hot."""
        coordinates: list[float] = []
        for (name, space), value in zip(self.search_space.items(), values, strict=True):
            if isinstance(space, CategoricalDistribution):
                if value not in space.choices:
                    raise ValueError(f"{name} = {value!r}: should be one of {space.choices!r}")
                # Two categories are as far from each other as the ends of a range.
                same = (choice == value for choice in space.choices)
                coordinates += [math.sqrt(0.5) * float(equal) for equal in same]
            elif isinstance(space, FloatDistribution | IntDistribution):
                if not isinstance(value, int | float) or not space.low <= value <= space.high:
                    raise ValueError(
                        f"{name} = {value!r} is outside of the recorded range, {space.low!r} to "
                        f"{space.high!r}"
                    )
                low, high, at = (float(x) for x in (space.low, space.high, value))
                if space.log:
                    low, high, at = math.log(low), math.log(high), math.log(at)
                coordinates.append((at - low) / (high - low) if high > low else 0.0)
        return np.array(coordinates)


def read_table(path: str | Path) -> dict[str, Any]:
    """Read the table that ``scorebench record`` wrote.

    Raises:
        ValueError: It is no such table, or of another format.
    """
    table: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise ValueError(f"{str(path)!r} is not a table of recorded searches of format {FORMAT}")
    return table


class RecordedProblem:
    """A recorded search on one of its seeds, with the interface of OptunaHub's benchmarks.

    All configurations are scored on the same data and noise, as in the search that was recorded:
    a searcher can overfit to them. ``true_loss`` tells.

    Args:
        path: The table.
        cell: Name of the recorded search; ``RecordedProblem.names(path)`` lists them.
        seed: Number of the seed that the problem has; another seed is another problem.

    Attributes:
        floor: Mean loss of fresh samples of the truth, which no configuration can beat; NaN if
            it was not recorded.
        best: Smallest true loss of the recorded configurations.
    """

    def __init__(self, path: str | Path, cell: str, seed: int = 0) -> None:
        table = read_table(path)
        if cell not in table["cells"]:
            raise ValueError(f"no recorded search {cell!r}: there are {', '.join(table['cells'])}")
        self.cell = RecordedCell(table["cells"][cell])
        if not 0 <= seed < self.cell.seeds:
            raise ValueError(f"seed = {seed}: should be from 0 to {self.cell.seeds - 1}")
        self.seed = seed
        self._objectives: list[str] = table["objectives"]
        first = self._objectives[0]
        self.floor = float(np.mean(self.cell.data["floor"].get(first, [math.nan])))
        self.best = float(np.nanmin(self._means[:, 0]))

    @staticmethod
    def names(path: str | Path) -> list[str]:
        """List the recorded searches of a table."""
        return list(read_table(path)["cells"])

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """Distributions by name of the parameter."""
        return dict(self.cell.search_space)

    @property
    def directions(self) -> list[StudyDirection]:
        """One direction per objective; all are losses."""
        return [StudyDirection.MINIMIZE] * len(self._objectives)

    def __call__(self, trial: Trial) -> float | list[float]:
        """Evaluate the configuration that a trial suggests; several objectives are a list."""
        params: dict[str, Value] = {}
        for name, space in self.cell.search_space.items():
            if isinstance(space, FloatDistribution):
                params[name] = trial.suggest_float(
                    name, space.low, space.high, step=space.step, log=space.log
                )
            elif isinstance(space, IntDistribution):
                params[name] = trial.suggest_int(
                    name, space.low, space.high, step=space.step, log=space.log
                )
            elif isinstance(space, CategoricalDistribution):
                params[name] = trial.suggest_categorical(name, space.choices)
        return self.evaluate(params)

    def evaluate(self, params: Mapping[str, Value]) -> float | list[float]:
        """Return the losses of a configuration on the problem's seed; NaN if the run failed.

        Raises:
            ValueError: See ``RecordedCell.nearest``.
        """
        index = self.cell.nearest(params)
        values = [float(self.cell.losses[name][index, self.seed]) for name in self._objectives]
        return values[0] if len(values) == 1 else values

    def true_loss(self, params: Mapping[str, Value]) -> float | list[float]:
        """Return the mean losses over all seeds, without the noise that a search sees.

        Raises:
            ValueError: See ``RecordedCell.nearest``.
        """
        values = [float(value) for value in self._means[self.cell.nearest(params)]]
        return values[0] if len(values) == 1 else values

    @cached_property
    def _means(self) -> NDArray[np.float64]:
        return np.stack([self.cell.losses[name].mean(1) for name in self._objectives], 1)
