"""Searchers: search algorithms that propose configurations. Optuna calls them samplers.

``SEARCHERS`` lists all of them. A new searcher is made for every batch, from seeds that follow from
the cell and the number of finished trials, so that proposals depend on the rows alone. Some keep a
memory besides the trials: it is restored by asking for the earlier batches again.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from sqlalchemy.exc import SQLAlchemyError

from ...bench.plugins import module_of
from ...bench.spec import Option
from ...datasets.errors import UsageError, first_line, told, unknown
from .entries import Entry
from .optuna_samplers import ExhaustiveSearcher, GridSearcher, SobolSearcher, owner

STORAGE_ERRORS = (optuna.exceptions.StorageInternalError, SQLAlchemyError)
"""Errors of a storage that does not respond."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Kind(NamedTuple):
    """A kind of searcher.

    Attributes:
        make: Makes it; takes ``seed`` (of the batch), ``cell_seed`` or both where it is random.
        about: What it is, in a sentence of the report.
        options: Options that a study may set, by Optuna's names; ``startup`` is
            ``n_startup_trials``.
        remembers: Whether proposals depend on more than the finished trials: on what it has stored
            with them in Optuna's storage.
        objectives: Whether it can improve several objectives.
        choices: Whether it can search lists.
        constraints: Whether it can be given ``search.require``.
    """

    make: type[BaseSampler]
    about: str
    options: tuple[str, ...] = ()
    remembers: bool = False
    objectives: bool = True
    choices: bool = True
    constraints: bool = True


_GENETIC = ("population_size", "mutation_prob", "crossover_prob", "swapping_prob")

SEARCHERS = {
    "tpe": Kind(
        optuna.samplers.TPESampler, "TPE (Optuna)",
        ("startup", "n_ei_candidates", "multivariate", "group", "constant_liar"),
    ),
    "gp": Kind(
        optuna.samplers.GPSampler, "Bayesian optimisation with Gaussian processes (Optuna)",
        ("startup", "deterministic_objective"),
    ),
    "cmaes": Kind(
        optuna.samplers.CmaEsSampler, "CMA-ES (Optuna)",
        ("startup", "popsize", "use_separable_cma", "with_margin", "lr_adapt"),
        remembers=True, objectives=False, choices=False, constraints=False,
    ),
    "nsga2": Kind(optuna.samplers.NSGAIISampler, "NSGA-II (Optuna)", _GENETIC, remembers=True),
    "nsga3": Kind(
        optuna.samplers.NSGAIIISampler, "NSGA-III (Optuna)", (*_GENETIC, "dividing_parameter"),
        remembers=True,
    ),
    "qmc": Kind(SobolSearcher, "a scrambled Sobol sequence", ("qmc_type", "scramble")),
    "random": Kind(optuna.samplers.RandomSampler, "random search"),
    "grid": Kind(GridSearcher, "a grid search"),
    "brute_force": Kind(
        ExhaustiveSearcher, "an exhaustive search in random order (Optuna)",
        ("avoid_premature_stop",),
    ),
}  # fmt: skip

_LEARNING = ("tpe", "gp")
"""Searchers that ``search.startup`` is for; they learn from all trials, also from others'."""

_TYPES = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a string"),
}


class Searcher:
    """A searcher of a study, which makes Optuna's samplers.

    Args:
        entry: Its entry in the study; the plug-in file of one of the user's own is active.
        startup: The study's ``search.startup``.

    Attributes:
        name: Its name in the study.
        label: What it is called in results.
        own: Whether it is the user's own. Then one object proposes all batches of a cell, since it
            may keep its memory in itself.
        remembers: Whether its memory is restored by asking for the earlier batches again.
        learns: Whether it learns from trials that it did not propose.
        kind: What else is known of it.

    Raises:
        UsageError: There is no such searcher, or an option is unknown or unsuitable.
    """

    def __init__(self, entry: Entry, startup: int) -> None:
        self.name = entry.name
        self.own = ":" in entry.name
        self.kind = _own(entry.name) if self.own else _built_in(entry.name)
        self.label = entry.label
        self.remembers = self.own or self.kind.remembers
        self.learns = self.own or self.name in _LEARNING
        self._parameters = inspect.signature(self.kind.make).parameters
        self._options: dict[str, Option] = (
            {"n_startup_trials": startup} if self.name in _LEARNING else {}
        )
        for option, value in entry.settings.items():
            if not self.own:
                self._check(option, value)
            elif option in ("seed", "cell_seed") or not self._takes(option):
                known = [name for name in self._parameters if name != "seed"]
                raise unknown(f"option of search algorithm {self.name!r}", option, known)
            name = "n_startup_trials" if option == "startup" and not self.own else option
            self._options[name] = value  # type: ignore[assignment]
        self.sampler(0, 0)

    def sampler(self, cell_seed: int, seed: int) -> BaseSampler:
        """Make Optuna's sampler of a batch; ``cell_seed`` is the same for all batches of a cell.

        Raises:
            UsageError: It cannot be made with these options.
        """
        seeds = {"cell_seed": cell_seed, "seed": seed}
        given = {name: value for name, value in seeds.items() if name in self._parameters}
        with self.blamed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.kind.make(**self._options, **given)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Turn what its code raises into a ``UsageError``; errors of storages pass."""
        try:
            yield
        except (UsageError, *STORAGE_ERRORS):
            raise
        except Exception as error:
            if not self.own and not isinstance(
                error, (ValueError, ArithmeticError, AssertionError)
            ):
                raise
            module = module_of(self.name.partition(":")[0]).__name__ if self.own else ""
            why = told(error, module) if self.own else first_line(error)
            raise UsageError(f"search algorithm {self.label!r}: {why}") from error

    def check_space(self, distributions: Mapping[str, BaseDistribution], objectives: int) -> None:
        """Raise ``UsageError`` if it cannot search a space, or not by so many objectives."""
        others = [name for name, kind in SEARCHERS.items() if kind.objectives and kind.choices]
        if objectives > 1 and not self.kind.objectives:
            raise UsageError(
                f'search.sampler = "{self.name}" improves one objective, and the study has '
                f"{objectives}: give one, or another search algorithm ({', '.join(others)})"
            )
        for name, distribution in distributions.items():
            listed = isinstance(distribution, CategoricalDistribution)
            if listed and not distribution.single() and not self.kind.choices:
                raise UsageError(
                    f'search.sampler = "{self.name}" searches ranges of numbers, and {name} is '
                    f"chosen from a list: give {owner(name)} one value of it, or another search "
                    f"algorithm ({', '.join(others)})"
                )

    def check_require(self, require: Sequence[str]) -> None:
        """Raise ``UsageError`` if there are requirements, and it would propose without them."""
        if require and not self.kind.constraints:
            others = [name for name, kind in SEARCHERS.items() if kind.constraints]
            raise UsageError(
                f'search.sampler = "{self.name}" does not regard search.require: leave it out, or '
                f"give another search algorithm ({', '.join(others)})"
            )

    def _takes(self, option: str) -> bool:
        anything = any(p.kind is p.VAR_KEYWORD for p in self._parameters.values())
        return anything or option in self._parameters

    def _check(self, option: str, value: object) -> None:
        if option not in self.kind.options:
            if not self.kind.options:
                raise UsageError(
                    f"search algorithm {self.name!r} takes no options, so {option} cannot be set"
                )
            raise unknown(f"option of search algorithm {self.name!r}", option, self.kind.options)
        parameter = self._parameters["n_startup_trials" if option == "startup" else option]
        annotation = parameter.annotation
        written = annotation if isinstance(annotation, str) else annotation.__name__
        form, words = next(_TYPES[word] for word in written.split(" | ") if word in _TYPES)
        fits = isinstance(value, (int, float) if form is float else form)
        if form is int and option != "startup":
            fits, words = isinstance(value, int) and value >= 1, "a whole number from 1"
        if not fits or (isinstance(value, bool) and form is not bool):
            raise UsageError(
                f"search algorithm {self.name!r}: {option} = {value!r} should be {words}"
            )


def about(entry: Entry) -> str:
    """Describe a searcher in a sentence of the report, with its options."""
    options = ", ".join(f"{name} = {value!r}" for name, value in sorted(entry.settings.items()))
    known = SEARCHERS.get(entry.name)
    return (known.about if known else entry.name) + (f" with {options}" if options else "")


def _built_in(name: str) -> Kind:
    if name == "auto":
        raise UsageError(
            'search.sampler = "auto" is OptunaHub\'s AutoSampler, which Optuna downloads: give its '
            'folder in a copy of the registry, "hub:PATH", or another search algorithm'
        )
    if name not in SEARCHERS:
        raise unknown("search algorithm", name, SEARCHERS)
    return SEARCHERS[name]


def _own(name: str) -> Kind:
    file, _, attribute = name.partition(":")
    if not file.endswith(".py"):
        raise UsageError(
            f"search.sampler = {name!r} does not name a file and a class in it, for example "
            '"mine.py:MySampler"'
        )
    module = module_of(file)
    found = getattr(module, attribute, None)
    if found is None:
        known = [key for key, value in vars(module).items() if _is_sampler(value)]
        raise unknown(f"class in {file} called", attribute, known)
    if not _is_sampler(found):
        raise UsageError(
            f"search algorithm {name!r} is not a subclass of optuna.samplers.BaseSampler, so it "
            "was not called: name a class that is one"
        )
    return Kind(found, name)


def _is_sampler(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseSampler) and value is not BaseSampler
