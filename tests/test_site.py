"""The documentation builds as a site, whole, and without a request to the network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "site"
    link = ROOT / "build" / "scorebench"
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.symlink_to("..")
    # Whatever would be asked of the network while building fails.
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not included in the" not in done.stderr, done.stderr
    return place


def test_every_page_is_there(site):
    pages = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} < pages
    assert {"index", "contributing", "python"} < pages
    assert (site / "images" / "overview.png").exists()
    python = (site / "python.html").read_text()
    for said in ("overrides", "Draw", "UsageError", "leaderboard"):
        assert said in python, said


def test_pages_load_nothing_from_elsewhere(site):
    loaded = re.compile(r"<(?:link|script|img|iframe|source)\b[^>]*(?:src|href)=\"?(https?:)?//")
    for path in site.rglob("*.html"):
        assert not loaded.search(path.read_text()), path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\"?(https?:)?//|@import", path.read_text()), path.name


def test_no_request_leaves_a_browser(site):
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        for name in ("index", "python", "studies"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.locator("h1").count() == 1, name
        page.wait_for_timeout(300)
        browser.close()
    assert len(requests) > 5
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
