"""Write what follows from the code: the schema of study files and the reference pages.

Run ``python docs/generate.py`` after a change of study fields or commands; a test holds the files
against it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from scorebench.__main__ import app
from scorebench.bench.metrics import metrics
from scorebench.reports.exports import TABLES
from scorebench.studies.specs.load import PRESETS
from scorebench.studies.specs.schema import SCHEMA, study_schema
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Written by docs/generate.py: change what it is made of, then run that again. -->"


def outputs() -> dict[Path, str]:
    """Text of every generated file."""
    schema = study_schema()
    return {
        ROOT / "studies" / SCHEMA.name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n",
        ROOT / "docs" / "studies.md": studies_page(schema),
        ROOT / "docs" / "command_line.md": commands_page(),
        ROOT / "docs" / "columns.md": columns_page(),
    }


def studies_page(schema: dict[str, Any]) -> str:
    """Every field of a study file."""
    tables = schema["$defs"]
    parts = [INTRODUCTION.strip(), "## Every field", "### At the top"]
    plain, nested = [], []
    for name, field in schema["properties"].items():
        table = tables.get(field.get("$ref", "").rpartition("/")[2])
        required = name in schema["required"]
        if table is None:
            plain.append(row(name, field, required=required))
        else:
            rows = [row(inner, said) for inner, said in table["properties"].items()]
            nested += [f"### `[{name}]`", table["description"], listing(rows)]
    parts += [listing(plain), *nested, "## An example", "The packaged study `quick`:"]
    preset = (PRESETS / "quick.toml").read_text(encoding="utf-8")
    parts.append(f"```toml\n{preset.rstrip()}\n```")
    return "\n\n".join([*parts, NOTE]) + "\n"


def row(name: str, field: dict[str, Any], *, required: bool = False) -> str:
    """One line of a table of fields."""
    default = "required" if required else f"`{shown(field.get('default'))}`"
    if "default" in field and field["default"] is None:
        default = "none"
    return f"| `{name}` | {default} | {values(field)} | {field.get('description', '')} |"


def listing(rows: list[str]) -> str:
    """A Markdown table of fields."""
    return "\n".join(["| field | default | values | meaning |", "|---|---|---|---|", *rows])


def shown(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return json.dumps(value)


def values(field: dict[str, Any]) -> str:
    """What a field can be, in words."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        words = [values(part) for part in field["anyOf"] if part.get("type") != "null"]
        if len(words) > 1 and field["anyOf"][-1].get("type") == "array":
            words[-1] = "list"
        return " or ".join(dict.fromkeys(words))
    if "$ref" in field:
        kind = field["$ref"].rpartition("/")[2]
        return {"Range": "range", "Entry": "name or table", "PluginFile": "file"}.get(kind, kind)
    if field.get("type") == "array":
        return f"list of {values(field['items'])}"
    words = {"integer": "whole number", "boolean": "true or false"}
    kind = str(words.get(field["type"], field["type"]))
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    above = "above " if "exclusiveMinimum" in field else "from "
    below = " below " if "exclusiveMaximum" in field else " to "
    ends = [f"{above}{low:,}" if low is not None else "", f"{below}{high:,}" if high else ""]
    return f"{kind} {''.join(ends)}".strip()


def commands_page() -> str:
    """Every command with its arguments and options."""
    command = get_command(app)
    parts = ["# Command line", "Every command has `--help`; bad input is one line and status 2."]
    for name, found in sorted(command.commands.items()):  # type: ignore[attr-defined]
        parts += [f"## `scorebench {name}`", str(found.help)]
        lines = []
        for parameter in found.params:
            if parameter.name == "help":
                continue
            said = (getattr(parameter, "help", None) or "").replace("|", "\\|")
            if parameter.param_type_name == "argument":
                lines.append(f"| `{parameter.name}` | {said} |")
            else:
                names = ", ".join(f"`{option}`" for option in parameter.opts)
                lines.append(f"| {names} | {said} |")
        if lines:
            parts.append("\n".join(["| | |", "|---|---|", *lines]))
        if found.epilog:
            parts.append(f"`{found.epilog.removeprefix('Example: ')}`")
    return "\n\n".join([*parts, NOTE]) + "\n"


def columns_page() -> str:
    """Every column of every table, and every metric."""
    parts = [COLUMNS.strip()]
    for name, one in TABLES.items():
        rows = [f"| `{column}` | {said} |" for column, said in one.columns.items()]
        table = "\n".join(["| column | what it is |", "|---|---|", *rows])
        parts += [f"## `{name}`: {one.summary}", table]
    parts += ["## Metrics", "What `evaluation.metrics` can name. A *diagnostic* is blind to "
              "something that matters, so that no study may rank by it alone."]  # fmt: skip
    lines = ["| metric | of | what it is |", "|---|---|---|"]
    for name in builtin_metrics():
        metric = metrics.get(name)
        needs = f"the {metric.needs}" + (", diagnostic" if metric.diagnostic else "")
        lines.append(f"| `{name}` | {needs} | {metrics.summary(name)} |")
    return "\n\n".join([*parts, "\n".join(lines), NOTE]) + "\n"


def builtin_metrics() -> list[str]:
    """Metrics of this package: another one's would make the page depend on who writes it."""
    return sorted(metrics.builtin)


COLUMNS = """
# Columns and metrics

`scorebench leaderboard DIR --table TABLE --format csv` writes any of these tables; `board_frame`, `results` and the others
in Python are the same. `results.csv` and `leaderboard.csv` in a run directory are the tables `results` and `board`.
Capitals in a name stand for names: `mean.DATASET` is `mean.rings` and so on. Numbers of failed runs are infinite in means
and empty in `results`.
"""

INTRODUCTION = """
# Study files

A study is a TOML file: what is compared, on what, with which budgets and seeds. `scorebench show STUDY` prints one with
every default written out, its number of runs and an estimate of the time; `scorebench show --schema` prints the JSON
schema, from which editors complete (write `#:schema PATH` in the file's first lines).

## Names, options and ranges

Methods, datasets, samplers and references are given by name, or by a table with a name and options:

```toml
methods = [
    "dsm",                                              # search all it suggests
    { name = "dsm", label = "dsm_fixed", sigma = 0.1 }, # fix a hyperparameter
    { name = "ssm", n_slices = [1, 4] },                # search among values
    { name = "deen", sigma = { low = 0.05, high = 0.2, log = true } },
]
```

A `label` is what results and file names call it; two entries of one name need two.

## Sweeps

What can be searched of a method can be searched of the fields of `[training]`, of `width`, `depth` and `activation` of the
network, and of the options of samplers: a range or a list stands in place of the value. Options of datasets are values.

```toml
samplers = [{ name = "langevin", step_size = { low = 1e-3, high = 0.1, log = true } }]

[network]
width = [32, 128]

[training]
steps = [500, 2000]
learning_rate = [1e-3, 3e-3]

[search]
sampler = "grid"   # every combination of lists; with ranges: tpe, gp, qmc or random
trials = 8
```

All methods are searched alike, each on its own, and the winner of each keeps its own values; the table has them in columns
such as `params.network.width`. Reference rows are run with the first of a list and the middle of a range: with a swept
sampler the exact score's row is that of one setting only.

## Several objectives

Longer training and more slices are not free. With a list,

```toml
objective = ["mmd", "train_evaluations"]

[search]
finalists = 4
```

the search looks for the best trade-offs between what counts first and what is to be small besides: further metrics,
`train_evaluations` or `sample_evaluations`. These count points pushed through the network, however wide it is; seconds,
which would tell, differ each time, so that no search by them could be repeated. The finalists are then points along the Pareto front of the trials, both ends among them, and each is trained
`repeats` times again on fresh seeds. `scorebench leaderboard DIR --table front` and the figures `front-DATASET` show the
front that these fresh runs leave, with their intervals. The winner is still the finalist whose fresh runs have the best mean
of the first objective: it alone is confirmed on the test truth and ranked, so on the board methods may win at different
costs. All samplers of the search can do this; NSGA-II is not among them, since it keeps its population in its storage.

## Plug-ins of your own

`plugins = ["mine.py"]` names a file beside the study file (in an override: from the current folder), or a module of an
installed package. It registers names with the same decorators as the built-in ones. The text of the file becomes part of
the study: the run directory, `scorebench best` and workers elsewhere need nothing else, and a change of its code changes
the keys of its runs. A file has to stand alone; what needs several files belongs in a package, whose entry points
(`scorebench_methods` and so on) need no `plugins` at all. **A study that carries code runs it**, so look at a stranger's
study before you run it.

## Overrides

`-o KEY=VALUE` changes a field, `KEY` being dotted and `VALUE` TOML: `-o training.steps=500`, `-o 'datasets=["rings"]'`. A
bare word is a string.

## Hydra

Whoever configures everything with Hydra can compose studies with it (`pip install 'scorebench[hydra]'`):

```sh
python -m scorebench.studies.hydra study=quick training.steps=500
python -m scorebench.studies.hydra --multirun study=quick seed=1,2 network.kind=energy,score
```

The packaged studies are the config group `study`; further ones are YAML files in a folder `study/` (with
`# @package _global_` in the first line) that `--config-dir` names. `out` and `workers` can be given like fields. Each
composed study runs as `scorebench run` would: in `runs/NAME`, or `runs/NAME-<hash>` where fields other than budgets were
overridden, and the same study goes on in the same directory: what is there is not run again, budgets are totals. Hydra
itself writes nothing and does not change the folder. A range is `training.steps={low:10,high:99,log:true}`, a list
`network.width=[32,64]`, and `null` the default.
"""


def main() -> None:
    """Write all files, or with --check say which are not up to date."""
    stale = [
        path for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]  # fmt: skip
    for path in stale:
        if "--check" not in sys.argv:
            path.write_text(outputs()[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    if stale and "--check" in sys.argv:
        raise SystemExit("out of date: run python docs/generate.py")


if __name__ == "__main__":
    main()
