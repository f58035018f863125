"""Studies composed by Hydra: ``python -m scorebench.studies.hydra study=quick training.steps=500``.

The packaged studies are the config group ``study``, over a base of every field with its default, so
any field can be overridden without a ``+`` and a misspelt one is refused. The composed study is run
by ``scorebench run``: the same study resumes in the same directory, budgets are totals, and Hydra
neither changes the current folder nor leaves output directories. ``--multirun`` runs one study per
combination, each in its own directory.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..bench.spec import PERCEPTRON
from ..datasets.errors import UsageError
from .rundir.changes import BUDGETS, FREE
from .specs.load import PRESETS, checked, presets
from .specs.open import FIELDS
from .specs.spec import StudySpec

try:
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf
except ImportError:
    if __name__ != "__main__":
        raise
    sys.exit("scorebench: Hydra is not installed: pip install 'scorebench[hydra]'")

CONFIG = "scorebench"
_GROUP = "study"

# Keys of the command line that are not fields of a study.
_CLI_OPTIONS = {"out": None, "workers": None}


def register(place: str = ".") -> None:
    """Register the packaged studies with Hydra, and the fields of a study with their defaults.

    Hydra writes files about a multirun to the folder ``place``.
    """
    store = ConfigStore.instance()
    store.store(name="fields", node=_fields(), provider="scorebench")
    for name in presets():
        text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
        tables = OmegaConf.create(tomllib.loads(text))
        store.store(group=_GROUP, name=name, node=tables, package="_global_", provider="scorebench")
    store.store(name=CONFIG, node=_primary(place), provider="scorebench")


def _fields() -> DictConfig:
    """Collect the fields of a study; those without a default must come from the group."""
    fields: dict[str, object] = {}
    for name, field in StudySpec.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            # Fields that a table leaves out when it is written can be overridden too.
            value = dict(value) | value.model_dump(mode="json")
        fields[name] = "???" if field.is_required() else value
    return OmegaConf.create({**fields, **_CLI_OPTIONS, "plugins": []})


def _primary(place: str) -> DictConfig:
    return OmegaConf.create(
        {
            "defaults": [
                "fields",
                {_GROUP: "quick"},
                {"override hydra/job_logging": "none"},
                {"override hydra/hydra_logging": "none"},
                "_self_",
            ],
            "hydra": {
                "output_subdir": None,
                "run": {"dir": "."},
                "sweep": {"dir": place, "subdir": "."},
                "job": {"chdir": False},
            },
        }
    )


def replacing(words: Iterable[str]) -> list[str]:
    """Rewrite overrides with ranges or lists so that they replace the field's former value.

    Hydra would merge a new range into the old one, key by key, and refuses a list for a range.
    """
    overrides: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if key in FIELDS and value.startswith(("[", "{")):
            overrides += [f"~{key}", f"+{word}"]
        else:
            overrides.append(word)
    return overrides


def composed(config: DictConfig) -> tuple[StudySpec, dict[str, object]]:
    """Return the study that Hydra composed, and the values of ``out`` and ``workers``.

    Raises:
        UsageError: The composed fields are not a study.
    """
    data: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    cli_options = {name: data.pop(name, None) for name in _CLI_OPTIONS}
    missing = [name for name, value in data.items() if value == "???"]
    if missing:
        raise UsageError(f"the composed study lacks {missing[0]}: give {missing[0]}=...")
    data = _without_null(data)
    if "module" in data["network"]:
        # Hydra fills in every default, and a module has none of a perceptron's fields.
        data["network"] = {k: v for k, v in data["network"].items() if k not in PERCEPTRON}
    return checked(data, "the composed study", Path()), cli_options


def _without_null(value: object) -> object:
    """Drop null values, which TOML does not have; these fields keep their defaults."""
    if isinstance(value, Mapping):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def directory(study: StudySpec, overrides: Iterable[str]) -> Path:
    """Choose the run directory; studies that differ in budgets only share it."""
    keys = [override.partition("=")[0].lstrip("+~") for override in overrides]
    same_runs = (*BUDGETS, *FREE, *_CLI_OPTIONS, _GROUP)
    if all(any(key == name or key.startswith(f"{name}.") for name in same_runs) for key in keys):
        return Path("runs") / study.name
    data = study.model_dump(mode="json")
    for name in (*BUDGETS, *FREE):
        *tables, field = name.split(".")
        inner = data
        for table in tables:
            inner = inner[table]
        inner.pop(field, None)
    text = json.dumps([data, study.model_dump(mode="json")["plugins"]], sort_keys=True)
    return Path("runs") / f"{study.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def run(config: DictConfig) -> int:
    """Run a composed study with ``scorebench run``; return its exit status.

    Raises:
        UsageError: The composed fields are not a study.
    """
    study, cli_options = composed(config)
    out = cli_options["out"] or directory(study, HydraConfig.get().overrides.task)
    with tempfile.TemporaryDirectory(prefix="scorebench-") as folder:
        path = Path(folder) / f"{study.name}.toml"
        path.write_text(study.to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "scorebench", "run", str(path), "--out", str(out)]
        if cli_options["workers"] is not None:
            command += ["--workers", str(cli_options["workers"])]
        with subprocess.Popen(command) as process:  # noqa: S603 - scorebench itself
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    # The command gets Ctrl-C too, and ends by itself.
                    continue


@hydra.main(version_base="1.3", config_path=None, config_name=CONFIG)
def main(config: DictConfig) -> None:
    """Compose a study with Hydra and run it with scorebench."""
    try:
        status = run(config)
    except UsageError as error:
        sys.stderr.write(f"scorebench: {' '.join(str(error).split())}\n")
        status = 2
    if status:
        sys.exit(status)


if __name__ == "__main__":
    sys.argv[1:] = replacing(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="scorebench-") as place:
        register(place)
        main()
