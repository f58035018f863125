"""Plan a study without its untrusted code, by what its rows tell of its methods.

So rows are checked and compared in processes where this code never runs. An untrusted method may
have any hyperparameters; everything else must follow from the study.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ..bench.spec import Option, Plugin, RunSpec, Scalar
from ..datasets.errors import UsageError
from ..methods.space import LEARNING_RATE
from .engine import Engine
from .lookup import place
from .plan import Plan
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .specs.check import used
from .specs.entries import ends
from .specs.spec import IID, StudySpec
from .trust import untrusted

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from ..methods.estimators.base import Estimator


def plan_of(directory: Path, engine: Engine | None = None) -> Plan:
    """Plan the study of a run directory; untrusted code is left out, and not imported.

    Raises:
        UsageError: The untrusted code is not only methods.
    """
    study = read_study(directory)
    hidden = [] if engine is not None else untrusted(study.code)
    if not hidden:
        return Plan(study, engine or Engine())
    known = tuple(source for source in study.plugins if not untrusted([source]))
    bare = study.model_copy(update={"plugins": known})
    unread = Unread(bare, read_rows(directory))
    others = [f"{kind} {name!r}" for kind, name in used(bare) if name not in unread.names(kind)]
    named = [study.network.module, *(entry.name for entry in study.search.sampler)]
    others += [repr(name) for name in named if name and name.partition(":")[0] in hidden]
    if others:
        raise UsageError(
            f"{others[0]} is untrusted code, which is allowed for methods only: read it with "
            "`scorebench show`, then `scorebench trust` it"
        )
    return Plan(bare, unread)


class Unread(Engine):
    """The registered plug-ins, and methods that are known from rows alone.

    Attributes:
        own: Names of these methods.
    """

    def __init__(self, study: StudySpec, rows: Iterable[Row]) -> None:
        self.equip(study)
        self.own = {entry.name for entry in study.methods} - {*super().names("method")}
        self._entries = [entry for entry in study.methods if entry.name in self.own]
        self._keys: dict[str, str] = {}
        self._kinds: dict[str, str | None] = {}
        # Values of each hyperparameter, by label of the method.
        self._values: dict[str, dict[str, list[Option]]] = {
            entry.label: {
                name: [leaf] if isinstance(leaf, tuple) else list(ends(leaf))
                for name, leaf in entry.settings.items()
                if name != LEARNING_RATE
            }
            for entry in self._entries
        }
        for row in rows:
            if row.slot.cell.method in self._values and row.slot.phase != "reference":
                self._learn(row)

    def _learn(self, row: Row) -> None:
        run, values = row.run, self._values[row.slot.cell.method]
        self._keys[run.canonical()] = row.result.key
        trains = run.training.steps > 0 or LEARNING_RATE in (row.suggested or {})
        kind = "points" if run.sampler.name == IID else None if trains else "score"
        self._kinds.setdefault(run.method.name, kind)
        for parameter, value in (row.suggested or {}).items():
            table, name = place(parameter)
            if table == "method" and value not in values.setdefault(name, []):
                values[name].append(value)

    def names(self, kind: str) -> Sequence[str]:
        """List the registered names of a kind, and the methods that are known from rows."""
        names = super().names(kind)
        return sorted({*names, *self.own}) if kind == "method" else names

    def space(self, method: str, trial: "BaseTrial") -> dict[str, Option]:
        """Suggest the values in the rows of a method."""
        if method not in self.own:
            return super().space(method, trial)
        settings = cast("Any", trial).settings
        labels = [e.label for e in self._entries if (e.name, e.settings) == (method, settings)]
        named = labels or [entry.label for entry in self._entries if entry.name == method]
        options: dict[str, Option] = {}
        for label in named:
            for name, values in self._values[label].items():
                # A stored trial may have taken a branch without it.
                with suppress(ValueError):
                    options[name] = trial.suggest_categorical(name, cast("Any", values))
        return options

    def estimator(self, method: str) -> "type[Estimator] | None":
        """Return the estimator of a method that makes its model itself."""
        if method not in self.own:
            return super().estimator(method)
        kind = self._kinds.get(method)
        known = None if kind is None else SimpleNamespace(gives=kind, replayable=True)
        return cast("type[Estimator] | None", known)

    def published(self, method: str) -> Mapping[str, Scalar]:
        """Return no setting for methods that are known from rows."""
        return {} if method in self.own else super().published(method)

    def same(self, planned: RunSpec, run: RunSpec, /) -> RunSpec | None:
        """Return a run of such a method that differs in its hyperparameters only."""
        if run.method.name not in self.own or planned.method.name != run.method.name:
            return None
        return run if planned.model_copy(update={"method": run.method}) == run else None

    def key(self, spec: RunSpec) -> str:
        """Return the key of a run; the row's own for such a method."""
        own = spec.method.name in self.own
        return self._keys.get(spec.canonical(), "unknown") if own else super().key(spec)

    def parts(self, spec: RunSpec) -> dict[str, str]:
        """Return fingerprints of the code of a run, but for that of such a method."""
        if spec.method.name not in self.own:
            return super().parts(spec)
        other = spec.model_copy(update={"method": Plugin(name="dsm")})
        return {name: part for name, part in super().parts(other).items() if name != "method"}
