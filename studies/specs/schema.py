"""The JSON schema of study files: what editors complete from, and what docs/studies.md is made of.

``studies/schema.json`` is ``study_schema()``; ``python docs/generate.py`` writes it.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...bench.plugins import PluginFile
from ...bench.spec import EvaluationSpec, NetworkSpec, TrainingSpec
from .entries import Choices, Entry, Range
from .spec import Confirm, Evaluation, Limits, Reference, Search, StudySpec, Training
from .sweep import FIELDS

SCHEMA = Path(__file__).parents[1] / "schema.json"

# Where a table of the file repeats fields of a run, they are described there.
_MODELS: dict[type[BaseModel], type[BaseModel] | None] = {
    StudySpec: None, Training: TrainingSpec, Search: None, Confirm: None, Reference: None,
    Evaluation: EvaluationSpec, Limits: None, NetworkSpec: None, PluginFile: None, Range: None,
    Choices: None,
}  # fmt: skip


def study_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of study files, as people write them."""
    schema = StudySpec.model_json_schema()
    # In a file, what is swept stands where its value would, and costs beside the objective.
    del schema["properties"]["swept"], schema["properties"]["costs"]
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    objective = schema["properties"]["objective"]
    schema["properties"]["objective"] = {"anyOf": [{"type": objective.pop("type")}, names]}
    tables: dict[str, Any] = schema["$defs"]
    for name in FIELDS:
        table, _, field = name.partition(".")
        fields = tables[schema["properties"][table]["$ref"].rpartition("/")[2]]["properties"]
        fields[field] = _sweepable(fields[field])
    rate = tables["Training"]["properties"]["learning_rate"]
    rate["anyOf"] = [*rate["anyOf"][:-1], {"type": "array", "items": {"type": "number"}}]
    tables["Entry"] = _entry(tables["Entry"])
    for model, base in _MODELS.items():
        _describe(schema if model is StudySpec else tables[model.__name__], model, base)
    for table in (schema, *tables.values()):
        table.pop("title", None)
        for field in table.get("properties", {}).values():
            field.pop("title", None)
            if "$ref" in field:
                field.pop("default", None)
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "scorebench study"}
    return about | schema


def _sweepable(field: dict[str, Any]) -> dict[str, Any]:
    """A field that may have a range or a list instead of a value."""
    about: dict[str, Any] = {
        key: field.pop(key) for key in ("default", "title", "description") if key in field
    }
    ranges = [] if "enum" in field else [{"$ref": "#/$defs/Range"}]
    return {"anyOf": [field, *ranges, {"type": "array", "items": field}], **about}


def _entry(written_out: dict[str, Any]) -> dict[str, Any]:
    """An entry is its name, or a table in which settings stand beside name and label."""
    about = attributes(Entry)
    settings = written_out["properties"]["settings"]["additionalProperties"]
    settings = {"anyOf": [*settings["anyOf"], {"type": "array"}]}
    return {
        "description": summary(Entry),
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "description": about["name"]},
                    "label": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_]+$",
                        "description": about["label"],
                    },
                },
                "additionalProperties": {**settings, "description": about["settings"]},
            },
        ],
    }


def _describe(table: dict[str, Any], model: type[BaseModel], base: type[BaseModel] | None) -> None:
    about = ({} if base is None else attributes(base)) | attributes(model)
    table["description"] = summary(model).partition("; see `")[0].rstrip(".") + "."
    for name, field in table["properties"].items():
        if name in about:
            field["description"] = about[name]


def summary(model: type[BaseModel]) -> str:
    """First paragraph of a class's docstring."""
    return _joined(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0])


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What a class's docstring says of its attributes."""
    text = inspect.cleandoc(model.__doc__ or "")
    listed = re.split(r"^Attributes:$", text, maxsplit=1, flags=re.MULTILINE)[1:]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed[0] if listed else "", re.MULTILINE)
    return {name: _joined(said) for name, said in found}


def _joined(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
