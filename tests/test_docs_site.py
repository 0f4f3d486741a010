"""The documentation builds without a warning, and its pages need no network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pafpose
from tests.conftest import ROOT

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


class Loaded(HTMLParser):
    """Collects what a browser would load with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_loaded = tag != "link" or given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload")
        if tag in LOADS and is_loaded and (url := given.get(LOADS[tag])):
            self.urls.append(url)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.slow
def test_pages_load_files_of_the_site_only(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= {page.stem for page in pages}
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.urls
        for url in loaded.urls:
            name = url.split("?")[0].split("#")[0]
            assert url.startswith("data:") or (page.parent / name).is_file(), f"{page.name} loads {url}"


@pytest.mark.slow
def test_styles_load_nothing_from_the_network(site: Path) -> None:
    styles = sorted(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style.name


@pytest.mark.slow
def test_the_code_writes_the_contents_the_keys_and_the_python_interface(site: Path) -> None:
    index, config, api = ((site / f"{name}.html").read_text() for name in ("index", "config", "api"))
    assert 'class="caption-text">Design targets' in index and 'href="targets.html"' in index
    assert "HALF the width of a limb" in config and "paf.width" in config
    missing = [
        name for name in pafpose.__all__ if not name.startswith("_") and f'id="pafpose.{name}"' not in api
    ]
    assert missing == []


@pytest.mark.slow
def test_equations_are_drawn_by_the_browser(site: Path) -> None:
    page = (site / "how-it-works.html").read_text()
    assert page.count('<div class="math"><math') >= 5
