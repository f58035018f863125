"""Two studies side by side, and several put together."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.reports.diff import diff
from scorebench.reports.diff_views import diff_page
from scorebench.reports.merge import merge
from scorebench.reports.source import load
from scorebench.reports.terminal import plain
from scorebench.reports.write import write_diff

from .conftest import METHODS, study, write_directory

Maker = Callable[[str, pd.DataFrame], Path]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return lambda name, results: write_directory(tmp_path / name, results, samples=50)


def test_the_same_study_has_not_moved(make: Maker):
    old, new = make("old", study()), make("new", study())
    found = diff(load(old), load(new))
    assert found.settings == found.environment == found.unmatched == []
    assert found.answer == "No rank and no value moved by more than its uncertainty."
    assert len(found.moves) == 4 + 16
    assert all(move.change.value == 0.0 for move in found.moves)


def test_fresh_seeds_rarely_move_anything(make: Maker):
    old = load(make("old", study(seed=1)))
    moved = [
        move.rank_moved
        for seed in range(2, 6)
        for move in diff(old, load(make(f"new{seed}", study(seed=seed)))).moves
    ]
    assert np.mean(moved) <= 0.05


def test_what_moved_is_told(make: Maker, tmp_path: Path):
    levels = {**METHODS, "ssm": 0.1}
    old, new = make("old", study()), make("new", study(seed=1, methods=levels))
    file = new / "study.toml"
    file.write_text(file.read_text().replace("steps = 2000", "steps = 4000"))
    (new / "environment.json").write_text(
        json.dumps({"e0": {"python": "3.12.1", "packages": {"torch": "2.13.0"}, "threads": 1}})
    )
    shown = plain(write_diff(load(old), load(new), tmp_path / "diff.html"))
    assert max(map(len, shown.splitlines())) <= 80
    said = " ".join(shown.split())
    assert re.search(
        r"across datasets +rank +old +new +new − old +moved\n(.*\n)*?ssm +4 → 1 ", shown
    )
    assert "ssm across datasets (4 → 1)" in said
    assert "- training.steps: 2000 -> 4000" in said
    assert "- python: 3.11.9 -> 3.12.1" in said
    assert "torch" not in said
    page = (tmp_path / "diff.html").read_text()
    for words in ("ssm across datasets", "training.steps", "prefers-color-scheme"):
        assert words in page
    assert "<script" not in page


def test_names_in_a_page_are_escaped(make: Maker):
    found = diff(load(make("old", study())), load(make("new", study())))
    assert "<b>" not in diff_page(found, "<b>", "new")


def test_other_objectives_are_not_compared(make: Maker):
    old, new = make("old", study()), make("new", study())
    file = new / "study.toml"
    file.write_text(file.read_text().replace('objective = "sw1"', 'objective = "sw2"'))
    found = diff(load(old), load(new))
    assert found.moves == []
    assert "nothing that can be compared" in found.answer


def test_merging_gives_the_board_of_the_whole(make: Maker, tmp_path: Path):
    whole = study()
    mine = whole[whole.method.isin(["dsm", "deen", "truth", "exact", "untrained"])]
    yours = whole[whole.method.isin(["ssm", "ssm_vr", "truth", "exact", "untrained"])]
    merged = load(merge(tmp_path / "all", [make("mine", mine), make("yours", yours)]))
    expected = load(make("whole", whole)).evidence
    found = merged.evidence
    assert [c.label for c in found.contestants] == [c.label for c in expected.contestants]
    for one, other in zip(found.contestants, expected.contestants, strict=True):
        assert (one.score, one.rank, one.best) == (other.score, other.rank, other.best)
    assert merged.study.name == "all"
    assert merged.portrait(found.on("rings")[0]) is not None
    assert (tmp_path / "all" / "results.parquet").exists()


def test_gaps_of_a_merged_grid_are_shown(make: Maker, tmp_path: Path):
    whole = study()
    references = whole.method.isin(["truth", "exact", "untrained"])
    mine = whole[(whole.method == "dsm") | references]
    yours = whole[(whole.method == "ssm") & (whole.dataset == "rings")]
    yours = pd.concat([yours, whole[references & (whole.dataset == "rings")]])
    merged = load(merge(tmp_path / "all", [make("mine", mine), make("yours", yours)]))
    assert any(note.startswith("ssm is not ranked") for note in merged.evidence.notes)


def test_what_cannot_be_compared_is_refused_with_the_reason(make: Maker, tmp_path: Path):
    first = make("first", study())
    longer = make("longer", study())
    file = longer / "study.toml"
    file.write_text(file.read_text().replace("steps = 2000", "steps = 4000"))
    with pytest.raises(UsageError, match=r"cannot be compared: training.steps: 2000 -> 4000"):
        merge(tmp_path / "all", [first, longer])
    other = study()
    other.key = "x" + other.key
    with pytest.raises(UsageError, match="was run with other code or settings"):
        merge(tmp_path / "all", [first, make("other", other)])
    drifted = study()
    drifted.sw1 *= 1.1
    with pytest.raises(UsageError, match=r"gave .* but the same run gave"):
        merge(tmp_path / "all", [first, make("drifted", drifted)])
    with pytest.raises(UsageError, match="two or more run directories"):
        merge(tmp_path / "all", [first])
    with pytest.raises(UsageError, match="already exists"):
        merge(first, [first, longer])
    assert not (tmp_path / "all").exists(), "nothing was begun"
