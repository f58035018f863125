"""What the documentation site has beside the pages of this folder; called by MkDocs.

The README is its first page and CONTRIBUTING its last, the Python pages come from docstrings, and
links to files that are no pages are names of files.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]

# Where pages lie on the site that are not in this folder.
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}

PYTHON = """
# Python

The verbs of the command line are functions of the package, `sb.run`, `sb.replay` and so on, and methods of a `Study`.

::: scorebench.reports.api.Study
::: scorebench.reports.api.run
::: scorebench.reports.api.load_study
::: scorebench.studies.replay.replay
::: scorebench.studies.certificate.certify
::: scorebench.studies.verify.verify
::: scorebench.reports.site.write_site
::: scorebench.reports.publishing.planning.planned
::: scorebench.studies.foreign.trust
::: scorebench.studies.certificate.Certificate
::: scorebench.reports.findings.api.finding
::: scorebench.reports.findings.result.FindingResult
::: scorebench.datasets.get_dataset
::: scorebench.datasets.base.Dataset
::: scorebench.datasets.base.Density
::: scorebench.methods.objectives.base.ScoreMatching
::: scorebench.methods.random.MemberRandom
::: scorebench.methods.sampling.base.Sampler
"""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in this folder."""
    for source, target in MOVED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=linked(text, "")))
    files.append(File.generated(config, "python.md", content=PYTHON))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Bring the links of a page of this folder up to date."""
    return markdown if page.file.generated_by else linked(markdown, "docs/")


def linked(markdown: str, folder: str) -> str:
    """A page with its links as they are on the site.

    Args:
        markdown: The page.
        folder: Where it lies in the repository.
    """

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found.groups(default="")
        path = (ROOT / folder / target).resolve().relative_to(ROOT).as_posix()
        if path in MOVED:
            return f"[{text}]({MOVED[path]}{anchor})"
        if path.startswith("docs/") and "." in path:
            return f"[{text}]({path.removeprefix('docs/')}{anchor})"
        return text if "`" in text else f"`{text}`"

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^):#]+)(#[^)]*)?\)", link, _images(markdown))


def _images(markdown: str) -> str:
    return re.sub(r"(!\[[^\]]*\]\()docs/", r"\1", markdown)
