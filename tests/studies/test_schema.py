"""The published schema, completion from it, and the estimate of what a study takes."""

import tomllib
from typing import get_args

import pytest
from scorebench.studies.execution.estimate import estimate
from scorebench.studies.specs.completion import complete_override, complete_study
from scorebench.studies.specs.load import PRESETS, load_study
from scorebench.studies.specs.schema import study_schema
from scorebench.studies.specs.spec import StudySpec

from .conftest import make_study
from .fake_engine import FakeEngine


def test_every_field_is_described_and_nothing_else():
    schema = study_schema()
    assert set(schema["properties"]) == set(StudySpec.model_fields) - {"costs"}
    for name, field in schema["properties"].items():
        table = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2])
        if table is None:
            assert len(field["description"]) > 10, name
            continue
        annotation = StudySpec.model_fields[name].annotation
        model = next(iter(get_args(annotation)), annotation)
        assert set(table["properties"]) == set(model.model_fields) - {"measures"}
        for inner, said in table["properties"].items():
            assert len(said["description"]) > 10, (name, inner)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_packaged_studies_name_the_schema_and_only_its_fields(path):
    text = path.read_text()
    assert "\n#:schema ../schema.json\n" in text
    schema = study_schema()
    for name, value in tomllib.loads(text).items():
        field = schema["properties"][name]
        if "$ref" in field:
            assert set(value) <= set(schema["$defs"][field["$ref"][8:]]["properties"])
    assert set(schema["required"]) <= set(tomllib.loads(text))


def test_completion_offers_fields_and_studies():
    assert [key for key, _ in complete_override("training.st")] == ["training.steps="]
    assert "seed=" in [key for key, _ in complete_override("")]
    assert all(load_study(name) for name, _ in complete_study("q"))
    assert complete_study("zzz") == []


def test_runs_are_counted_and_parts_are_timed_once():
    study = make_study(
        methods=["alpha", "beta"], datasets=["ring"], samplers=["walk"],
        training={"steps": 1000}, search={"trials": 5, "finalists": 2, "repeats": 3},
        confirm={"seeds": 4}, reference={"floors": 7, "seeds": 2},
        evaluation={"samples": 4000},
    )  # fmt: skip
    specs = []

    class Timed(FakeEngine):
        """Training takes 1 s and 10 ms a step, 1000 points 1 s, scoring 0.5 s."""

        def execute(self, given, keep):
            specs.extend(given)
            outcomes = super().execute(given, keep)
            for spec, outcome in zip(given, outcomes, strict=True):
                outcome.result = outcome.result.model_copy(update={"compute": {
                    "train_seconds": 1 + 0.01 * spec.training.steps,
                    "sample_seconds": spec.evaluation.samples / 1000,
                    "score_seconds": 0.5,
                }})  # fmt: skip
            return outcomes

        def prepare(self):
            """Nothing to import."""

    found = estimate(study, Timed())
    tuned, references = 2 * (5 + 2 * 3 + 4), len(study.reference.methods) * 2
    assert found.runs == {"reference": 7 + references, "search": 2 * 11, "confirm": 2 * 4}
    assert found.seconds == pytest.approx(7 * 0.5 + references * (0.5 + 4) + tuned * (0.5 + 4 + 11))
    assert max(spec.training.steps for spec in specs) < 100
    assert len(specs) < 12


def test_time_is_estimated_without_a_floor_too():
    study = make_study(reference={"floors": 0, "seeds": 0}, confirm={"seeds": 4})
    found = estimate(study, FakeEngine())
    assert found.runs["reference"] == 0
    assert found.runs["confirm"] == 4 * len(study.methods) * len(study.datasets)
