"""Pages from their templates: one file that holds everything and needs no network."""

from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """A page as text; whatever comes from data is escaped.

    Args:
        template: File in ``templates``.
        values: What it shows; the style and script of all pages are added.
    """
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    # Our own files, not anybody's data: the only texts that go in unescaped.
    own = {
        kind: Markup((TEMPLATES / f"report.{kind}").read_text(encoding="utf-8"))  # noqa: S704
        for kind in ("css", "js")
    }
    return environment.get_template(template).render(**own, **values)
