"""What is written about the project is true of it: pages are current, and commands work."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Not carried out: they set up what the tests are run in already, or change the user's shell.
SKIPPED = ("make ", "pip install")

# Stands for `scorebench`, and makes what it runs small.
SHIM = """\
#!{python}
import sys
from pathlib import Path

TINY = {{
    "training.steps": "20", "training.points": "500", "network.width": "8",
    "search.trials": "2", "search.repeats": "1", "confirm.seeds": "2", "reference.floors": "2",
    "reference.seeds": "1", "evaluation.samples": "100", "methods": '["dsm", "ssm"]',
    "datasets": '["rings", "8gaussians"]',
}}
words = sys.argv[1:]
if words[:2] == ["finding", "selftest"]:
    words += ["-o", "points=200", "-o", "repeats=40", "--workers", "1"]
if words[0] == "run":
    path = Path(words[1])
    text = path.read_text() if path.exists() else ""
    given = [w.partition("=")[0] for w in words if "=" in w]
    tuned = "trials = 0" not in text
    for key, value in TINY.items():
        own = key in ("methods", "datasets") and text
        own = own or (key == "network.width" and "module = " in text)
        if key not in given and not own and (tuned or not key.startswith(("search", "confirm"))):
            words += ["-o", key + "=" + value]
    if "--workers" not in words:
        words += ["--workers", "1"]
from scorebench.__main__ import main
sys.argv = ["scorebench", *words]
main()
"""

PRELUDE = """\
import scorebench as sb
import runpy, sys
whole = sb.run
def run(study, out=None, **options):
    return whole(study, out, workers=1, overrides={overrides!r}, **options)
sb.run = run
"""

OVERRIDES = [
    "training.steps=20", "training.points=500", "network.width=8", "search.trials=2",
    "search.repeats=1", "confirm.seeds=2", "reference.floors=2", "reference.seeds=1",
    "evaluation.samples=100", 'methods=["dsm", "ssm"]', 'datasets=["rings", "8gaussians"]',
]  # fmt: skip


def test_generated_pages_are_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["README.md", "docs/tutorial.md", "docs/your-own.md", "docs/faq.md", "docs/findings.md"]
)
def test_commands_and_snippets_work(page, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "scorebench").write_text(SHIM.format(python=sys.executable))
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "pytest").write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    for kind, block in re.findall(
        r"```(sh|python)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL
    ):
        if kind == "sh":
            lines = [line for line in block.splitlines() if not line.startswith(SKIPPED)]
            command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        else:
            command = [sys.executable, "-c", PRELUDE.format(overrides=OVERRIDES) + block]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_links_between_pages_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
