"""Every promise of docs/security.md names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_names_a_test():
    text = (ROOT / "docs" / "security.md").read_text()
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    tables = re.findall(r"\| promise \| test \|\n\|[-| ]+\|\n((?:\|.*\n)+)", text)
    assert len(tables) >= 4
    for row in "".join(tables).splitlines():
        named = re.findall(r"`(?:[\w/]+\.py::)?(test_\w+)`", row.rsplit(" | ", 1)[1])
        assert named, row
        assert set(named) <= defined, row
