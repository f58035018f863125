"""A published folder is whole, describes itself to validators, and cites what the study used."""

import dataclasses
import json
import logging
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import scorebench as sb
from scorebench.bench.data_files import DataFile
from scorebench.bench.metrics import metrics
from scorebench.bench.plugins import PluginFile, activate
from scorebench.datasets import datasets, get_dataset
from scorebench.datasets.errors import UsageError
from scorebench.methods import methods, references, samplers
from scorebench.reports.merge import merge
from scorebench.reports.publishing import citing, metadata
from scorebench.reports.publishing.publish import publish
from scorebench.reports.source import load
from scorebench.studies import trust
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.searchers import SEARCHERS

BUILTIN = [
    (registry, name)
    for registry in (methods, references, datasets, samplers, metrics)
    for name in registry.builtin
]
WORK = re.compile(
    r"((?:[A-ZÉ][\w-]+(?: et al\.)?)(?:(?:, | and )[A-Z][\w-]+)*),? (?:\()?((?:19|20)\d\d)\b"
)


@pytest.fixture(scope="module")
def folder(tiny_run, tmp_path_factory):
    return publish(load(tiny_run), tmp_path_factory.mktemp("out") / "pub", authors=["Ada L."])


@pytest.mark.parametrize(("registry", "name"), BUILTIN, ids=lambda v: getattr(v, "kind", v))
def test_every_work_that_a_plugin_names_has_an_entry(registry, name):
    plugin = registry.get(name)
    words = re.sub(r"\s+", " ", (plugin.__doc__ or "").replace("(", ""))
    named = {f"{match[1]} {match[2]}" for match in WORK.finditer(words)}
    phrases = {phrase for entry in citing.cited_in(words) for phrase in entry.phrases}
    known = [(w, p) for w in named for p in phrases if w.endswith(p) or p.endswith(f" {w}")]
    assert {work for work, _ in known} == named


def test_entries_have_what_bibtex_needs_and_keys_are_unique():
    keys = [entry.key for entry in citing.bibliography()]
    assert len(keys) == len(set(keys))
    for entry in citing.bibliography():
        assert entry.text.count("{") == entry.text.count("}")
        assert all(f" {field} = {{" in entry.text for field in ("author", "title", "year"))
        venue = {"@article": "journal", "@misc": "note"}
        assert f" {venue.get(entry.text.split('{')[0], 'booktitle')} = {{" in entry.text
    told = {word for entry in citing.bibliography() for word in entry.keywords}
    assert {f"searcher:{name}" for name in ("tpe", "gp", "cmaes", "nsga2", "random")} <= told
    assert {word.split(":")[1] for word in told if word.startswith("searcher:")} <= {*SEARCHERS}


def test_exactly_what_a_study_uses_is_cited():
    written = citing.bibtex(load_study("quick"))
    cited = re.findall(r"^@\w+\{(\w+),", written, re.MULTILINE)
    assert {"Vincent2011", "Saremi2018", "Song2019", "Gretton2012", "Bergstra2011"} <= {*cited}
    assert {"Smyth2004", "Akiba2019", "scorebench"} <= {*cited}
    assert not {"Deb2002", "Karras2022", "Lan1983", "LopezPaz2017"} & {*cited}
    assert len(cited) == len(set(cited))
    assert "% method ssm, method ssm_vr\n@inproceedings{Song2019" in written


def test_the_folder_is_described_to_croissant_without_warning(folder, caplog):
    croissant = pytest.importorskip("mlcroissant")
    with caplog.at_level(logging.WARNING):
        dataset = croissant.Dataset(folder / metadata.CROISSANT)
        rows = list(dataset.records("results"))
        points = [[*record.values()] for record in dataset.records("reference/rings")]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert dataset.metadata.ctx.conforms_to.value.endswith("/1.1")
    assert len(rows) == len(pd.read_csv(folder / "results.csv"))
    rings = get_dataset("rings")
    assert float(rings.log_prob(np_tensor(points), 0.0).mean()) == pytest.approx(
        -rings.entropy(0.0), abs=0.05
    )


def np_tensor(values):
    import torch

    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def test_the_folder_is_an_ro_crate_that_names_every_file(folder):
    crates = pytest.importorskip("rocrate.rocrate")
    crate = crates.ROCrate(folder)
    named = {entity.id for entity in crate.data_entities}
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert named == files - {metadata.CRATE}
    assert crate.root_dataset["author"][0]["name"] == "Ada L."


def test_hashes_are_those_of_the_files_and_the_archive_replays(folder, tmp_path):
    import hashlib

    described = json.loads((folder / metadata.CROISSANT).read_text())["distribution"]
    for file in described:
        digest = hashlib.sha256((folder / file["contentUrl"]).read_bytes()).hexdigest()
        assert digest == file["sha256"]
    outcome = sb.replay(folder / "tiny.zip", "dsm", "rings")
    assert (outcome["verdict"] == "identical").all()


def test_the_checklist_leaves_to_the_author_what_a_run_cannot_know(folder):
    text = (folder / "CHECKLIST.md").read_text()
    assert text.count("**for the author**") >= 5
    assert "replay tiny.zip" in text


def test_an_unfinished_study_is_refused_and_nothing_is_left(tiny_run, tmp_path):
    copy = tmp_path / "half"
    shutil.copytree(tiny_run, copy)
    lines = (copy / "runs.jsonl").read_text().splitlines(keepends=True)
    (copy / "runs.jsonl").write_text("".join(line for line in lines if '"confirm"' not in line))
    with pytest.raises(UsageError, match="is not finished, so it cannot be published"):
        publish(load(copy), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".publish-*"))


def test_a_merged_study_is_refused_and_nothing_is_left(tiny_run, tmp_path):
    merged = merge(tmp_path / "both", [tiny_run, tiny_run])
    with pytest.raises(UsageError, match=r"was merged from other run directories.*publish each"):
        publish(load(merged), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["both"]


def test_what_states_no_licence_or_citation_is_refused_by_name(tiny_run, tmp_path, monkeypatch):
    source = load(tiny_run)
    methods = [m.model_copy(update={"name": "published_by_me"}) for m in source.study.methods[:1]]

    def with_study(**changed):
        return dataclasses.replace(source, study=source.study.model_copy(update=changed))

    given = {"methods": (*methods, *source.study.methods[1:])}
    for stated, constant in (("", "license"), ('__license__ = "MIT"', "citation")):
        code = PluginFile(file="my_pub.py", code=MINE.format(stated=stated))
        monkeypatch.setattr(trust, "_trusted", {trust.identified(code).digest: None})
        activate([code])
        with pytest.raises(UsageError, match=f"'published_by_me' .* states no {constant}: add"):
            publish(with_study(plugins=(code,), **given), tmp_path / "out")
    points = DataFile(file="mine.csv", sha256="0" * 64)
    with pytest.raises(UsageError, match=r"mine\.csv has no licence: say with --data-license"):
        publish(with_study(data=(points,)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tiny_run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        publish(load(tiny_run), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_plugin_file_states_licence_and_citation_in_constants_that_are_not_executed():
    code = 'raise SystemExit\n__license__ = "MIT"\n__citation__ = """@misc{mine, title = {M}}"""\n'
    assert citing.constants(code) == {
        "__license__": "MIT",
        "__citation__": "@misc{mine, title = {M}}",
    }


MINE = """
from scorebench.methods import methods
from scorebench.methods.objectives.dsm import DSM

{stated}
@methods.register("published_by_me")
class Mine(DSM):
    \"\"\"Denoising once more.\"\"\"
"""


def test_credit_of_a_plugin_file_comes_from_its_constants(tmp_path):
    head = (
        'name = "m"\nmethods = ["published_by_me"]\ndatasets = ["rings"]\nplugins = ["my_pub.py"]\n'
    )
    rest = 'samplers = ["langevin"]\nobjective = "mmd"\n'
    (tmp_path / "m.toml").write_text(head + rest)
    for stated, expected in (
        ("", ("", ())),
        ('__license__ = "MIT"\n__citation__ = "@misc{me, year = {2026}}"\n',
         ("MIT", ("@misc{me, year = {2026}}",))),
    ):  # fmt: skip
        (tmp_path / "my_pub.py").write_text(MINE.format(stated=stated))
        credited = citing.credits_of(load_study(tmp_path / "m.toml"))
        own = next(credit for credit in credited if credit.own)
        assert (own.kind, own.name) == ("method", "published_by_me")
        assert (own.license, own.entries) == expected
