"""What a shell offers after `scorebench run` and after `-o`."""

import json
from collections.abc import Iterator
from typing import Any


def complete_study(incomplete: str) -> list[tuple[str, str]]:
    """Packaged studies that begin like this, with their summaries."""
    from .load import presets

    return [pair for pair in presets().items() if pair[0].startswith(incomplete)]


def complete_override(incomplete: str) -> list[tuple[str, str]]:
    """Fields of a study that begin like this, followed by =, with what they mean."""
    from .schema import SCHEMA

    fields = _fields(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return [(f"{key}=", said) for key, said in fields if key.startswith(incomplete)]


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, field in schema["properties"].items():
        table = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2])
        if table is None or "properties" not in table:
            yield name, field.get("description", "")
        else:
            for inner, said in table["properties"].items():
                yield f"{name}.{inner}", said.get("description", "")
