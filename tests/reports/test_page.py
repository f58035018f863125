"""The report: one self-contained file, escaped, and checked in a browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scorebench.reports.pages.protocol import protocol
from scorebench.reports.source import load
from scorebench.reports.write import leaderboard_table, write_report
from scorebench.studies.specs.searchers import SEARCHERS
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.specs.tables import Search

from .conftest import DATASETS, METHODS, fail, study

VOID = {"meta", "link", "img", "source", "br"}


class Reader(HTMLParser):
    """A parser that checks the order of tags and collects addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.images_without_alt = 0
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[k] or "" for k in ("src", "href", "srcset") if k in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.images_without_alt += tag == "img" and not values.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def report(directory: Path) -> Path:
    return write_report(load(directory))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(
            executable_path=executable,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--no-first-run",
            ],
        )  # fmt: skip
        yield opened
        opened.close()


def test_report_is_complete_and_needs_no_network(report: Path):
    page = read(report)
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:80]
        if address.startswith("#"):
            assert address[1:] in page.ids
    styles = re.search(r"<style>(.*?)</style>", report.read_text(), re.DOTALL)
    assert styles is not None
    assert "url(" not in styles[1]
    assert "@import" not in styles[1]
    assert page.images_without_alt == 0
    words = " ".join(" ".join(page.words).split())
    assert "No best configuration: dsm and deen are tied" in words
    assert "Across 4 datasets" in words
    for name in (*DATASETS, *METHODS, "truth (floor)", "exact score", "untrained", "No run failed"):
        assert name in words
    for command in ("scorebench replay . dsm rings", "scorebench best . ssm_vr 2spirals"):
        assert command in words
    assert "7 outside the view, 3 not finite" in words
    assert report.stat().st_size < 5_000_000


def test_energyless_network_says_so(directory: Path):
    from scorebench.reports.figures.panels import panel

    source = load(directory)
    cells = {cell.method: cell for cell in source.evidence.on("rings")}
    without, with_energy = (source.portrait(cells[name]) for name in ("ssm", "dsm"))
    assert without is not None
    assert with_energy is not None
    assert without.energy is None
    words = [t.get_text() for t in panel(without, "energy").axes[0].texts]
    assert words == ["no energy:\nthe network gives\nthe score itself"]
    assert not panel(with_energy, "energy").axes[0].texts


def test_same_inputs_give_the_same_bytes(directory: Path, report: Path):
    before = {p.name: p.read_bytes() for p in (report, directory / "leaderboard.csv")}
    for name in before:
        (directory / name).unlink()
    write_report(load(directory))
    assert {name: (directory / name).read_bytes() for name in before} == before


def test_text_from_files_is_escaped(make_directory: Callable[[pd.DataFrame], Path]):
    results = study(datasets=("rings",), trials=2)
    evil = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    fail(results, (results.method == "dsm") & (results.phase == "search"), f"train: {evil}")
    folder = make_directory(results)
    (folder / "environment.json").write_text('{"e0": {"<b>cpu</b>": "</style><script>1"}}')
    text = write_report(load(folder)).read_text()
    assert evil not in text
    assert "<b>cpu</b>" not in text
    assert "&lt;script&gt;alert(" in text
    assert text.count("<script") == 1
    page = read(folder / "report.html")
    assert any(evil in words for words in page.words)


def test_failures_and_missing_runs_are_reported(make_directory: Callable[[pd.DataFrame], Path]):
    results = study(seeds=4, datasets=("2spirals", "rings"))
    fail(
        results, (results.method == "ssm") & (results.phase == "confirm") & (results.replicate == 1)
    )
    missing = (
        (results.method == "deen") & (results.dataset == "rings") & (results.phase == "confirm")
    )
    folder = make_directory(results[~missing])
    study_file = folder / "study.toml"
    study_file.write_text(study_file.read_text().replace("seeds = 5", "seeds = 4", 1))
    words = " ".join(" ".join(read(write_report(load(folder))).words).split())
    assert "This study is not finished." in words
    assert "Without a confirmation run: 1 of 8 cells: deen on rings (langevin)." in words
    assert "deen is not ranked: nothing is confirmed on rings" in words
    assert words.count("train: the loss is not a number") == 2
    assert "1 of 4 failed" in words


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_the_protocol_names_the_search_algorithm(searcher: str):
    spec = StudySpec(
        name="s", methods=["dsm"], datasets=["rings"], samplers=["langevin"], objective="sw1",
        search={"sampler": searcher, "trials": 8, "batch": 2},
    )  # fmt: skip
    sentence = next(text for text in protocol(spec) if "configurations" in text)
    assert sentence.startswith(
        f"In each cell {SEARCHERS[searcher].about} tried 8 configurations, 2 at"
    )
    several = spec.search.model_copy(
        update={"sampler": Search(sampler=["tpe", {"name": searcher, "label": "x"}]).sampler}
    )
    both = " ".join(protocol(spec.model_copy(update={"search": several})))
    assert f"TPE (Optuna) and {SEARCHERS[searcher].about} each tried 8 configurations" in both


def test_the_protocol_tells_of_a_race():
    spec = StudySpec(
        name="s", methods=["dsm"], datasets=["rings"], samplers=["langevin"], objective="sw1",
        search={"trials": 40, "race": 2, "repeats": 4, "finalists": 3},
    )  # fmt: skip
    sentence = next(text for text in protocol(spec) if "configurations" in text)
    assert sentence.endswith("They raced over paired seeds: 20, 10, 5 and 3 of them ran again.")


def test_an_unstarted_study_has_a_report_and_a_leaderboard(
    make_directory: Callable[[pd.DataFrame], Path],
):
    folder = make_directory(study(datasets=("rings",)))
    (folder / "runs.jsonl").write_text("")
    page = read(write_report(load(folder)))
    assert any("no answer yet" in words for words in page.words)
    assert "no answer yet" in leaderboard_table(load(folder))


def test_a_browser_sorts_and_stays_offline(report: Path, browser: Any):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    table = page.locator("table.sortable", has=page.get_by_text("Across all datasets; ranked"))

    def column(name: str) -> list[str]:
        headers = [text.strip() for text in table.locator("thead th").all_inner_texts()]
        number = headers.index(name) + 1
        return table.locator(f"tbody:first-of-type tr > :nth-child({number})").all_inner_texts()

    before = column("method")
    assert set(before[:2]) == {"dsm", "deen"}
    table.get_by_role("button", name="method").click()
    assert column("method") == sorted(before)
    table.get_by_role("button", name="method").click()
    assert column("method") == sorted(before, reverse=True)
    table.get_by_role("button", name="score").click()
    assert column("method") == before
    assert table.locator("th[aria-sort=ascending]").count() == 1
    pairs = page.locator(".scroll", has=page.get_by_text("Pairs, across all datasets")).locator(
        "tbody tr"
    )
    bar = page.locator(".filter:has(+ .scroll[aria-label^='Pairs, across'])")
    field = bar.get_by_label("Filter rows")
    assert (pairs.count(), pairs.filter(visible=True).count()) == (6, 6)
    field.fill("DSM undecided")
    assert all("dsm" in row for row in pairs.filter(visible=True).all_inner_texts())
    assert 0 < pairs.filter(visible=True).count() < 6
    assert bar.locator("output").inner_text().endswith("of 6 rows")
    field.fill("-dsm")
    assert pairs.filter(visible=True).count() == 3
    field.fill("")
    assert pairs.filter(visible=True).count() == 6
    pictures = page.evaluate(
        "document.querySelectorAll('details').forEach(d => { d.open = true });"
        "Promise.all([...document.images].map(i => { i.loading = 'eager';"
        " return i.decode().then(() => i.naturalWidth) }))"
    )
    gallery, plots = 4 * 6, 3 + 4
    assert len(pictures) == 1 + 4 * (gallery + plots)
    assert min(pictures) > 0
    page.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_sideways_scrolling_and_readable_colours(
    report: Path, browser: Any, width: int, scheme: str
):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("body", ".note, .eyebrow", "a", "summary", "tbody.references td"):
        ratio = page.evaluate(CONTRAST, selector)
        assert ratio >= 4.5, selector
    page.close()


def test_reads_without_javascript_and_prints(report: Path, browser: Any, tmp_path: Path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("table tbody tr").count() > 20
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    context.close()


CONTRAST = """selector => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).map(v => (v /= 255) <= 0.03928
    ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const element = document.querySelector(selector);
  let ground = element;
  while (parse(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
    .map(light).sort((p, q) => q - p);
  return (a + 0.05) / (b + 0.05);
}"""
