"""Self-contained HTML pages from the templates."""

from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """Fill a file of ``templates``; values are escaped, and no page needs a network.

    Style sheet and script are added to the values.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    # The package's own files are the only texts that are not escaped.
    assets = {
        kind: Markup((_TEMPLATES / f"report.{kind}").read_text(encoding="utf-8"))  # noqa: S704
        for kind in ("css", "js")
    }
    return environment.get_template(template).render(**assets, **values)
