"""Study files and overrides as nobody would write them: one line, and no directory left behind."""

import shutil
import tomllib

import tomli_w
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from scorebench.bench.metrics import metrics
from scorebench.datasets import datasets
from scorebench.datasets.errors import UsageError
from scorebench.methods import methods, references, samplers
from scorebench.studies import study as study_module
from scorebench.studies.rundir.read import read_study
from scorebench.studies.specs.load import PRESETS, load_study
from scorebench.studies.study import run

from .conftest import often

NAMES = sorted(
    {name for r in (methods, datasets, samplers, references, metrics) for name in r.names()}
)

numbers = st.one_of(
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**63, 10**30]),
    st.floats(),
    st.sampled_from([0.5, 0.1, 1e-3, 1e-300]),
)
words = st.one_of(
    st.sampled_from(
        [*NAMES, "tpe", "grid", "energy", "cosine", "../up", "/etc", "a/b", "", "mine.py"]
    ),
    st.text(max_size=8),
)
scalars = st.one_of(numbers, words, st.booleans())
keys = st.one_of(
    st.sampled_from(["name", "label", "low", "high", "log", "choices", "sigma", "noise", "steps"]),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=6,
)
entries = st.one_of(
    words, st.fixed_dictionaries({"name": words}, optional={"label": words, "sigma": values})
)


def _paths(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


BASES = [tomllib.loads((PRESETS / f"{name}.toml").read_text()) for name in ("quick", "seeds")]
FIELDS = sorted(
    {".".join(path) for base in BASES for path in _paths(base)}
    | {"seed", "training.ema", "evaluation.checkpoints", "limits.run_seconds", "plugins",
       "reference.methods", "search.sampler", "network.kind", "evaluation.metrics"}
)  # fmt: skip


@st.composite
def tables(draw):
    """A packaged study with a few of its fields changed, removed or added."""
    table = tomllib.loads(tomli_w.dumps(draw(st.sampled_from(BASES))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        *parents, last = draw(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5))).split(".")
        inner = table
        for name in parents:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                break
        else:
            if draw(st.integers(0, 5)):
                inner[last] = draw(st.one_of(values, st.lists(entries, max_size=3)))
            else:
                inner.pop(last, None)
    return table


@st.composite
def files(draw):
    """Text of a study file; some are torn, or have something else in their middle."""
    text = tomli_w.dumps(draw(tables()))
    if draw(st.integers(0, 5)) == 0:
        at, to = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = text[:at] + draw(st.text(max_size=6)) + text[to if draw(st.booleans()) else at :]
    return text


overrides = st.one_of(
    st.tuples(st.sampled_from(FIELDS), scalars).map(lambda pair: f"{pair[0]}={pair[1]!r}"),
    st.tuples(st.sampled_from(FIELDS), values).map(
        lambda pair: f"{pair[0]}={tomli_w.dumps({'v': pair[1]}).removeprefix('v = ').strip()}"
    ),
    st.sampled_from(FIELDS).map("{}=".format),
    st.text(max_size=12),
)


def test_generated_studies(tmp_path, monkeypatch, figure):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_module._Session, "run", lambda *_: None)
    path, out = tmp_path / "generated.toml", tmp_path / "out"
    counts = {"valid": 0, "broken": 0}

    @seed(5)
    @settings(
        max_examples=often(300, 10_000),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(files(), st.one_of(st.just([]), st.lists(overrides, max_size=2)))
    def holds(text, changes):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            study = load_study(path, changes)
            run(study, out)
        except UsageError as error:
            message = str(error)
            assert message.strip()
            assert "\n" not in message
            counts["broken"] += 1
        else:
            assert read_study(out) == study
            shutil.rmtree(out)
            counts["valid"] += 1
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    holds()
    assert min(counts.values()) > often(300, 10_000) // 20
    figure(
        "generated study files and overrides",
        f"{counts['valid']} valid, {counts['broken']} broken: 0 tracebacks, 0 directories left",
    )
