"""Every relative link of the pages leads to a file, and every anchor to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST write them."""
    headings = re.findall(r"^#+ +(.+?) *$", CODE.sub("", text), re.MULTILINE)
    words = [re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "# What? `it` is\n[a](#what-it-is) [b](b.md) [c](#other) [d](a.md#what-it-is) [e](a.md#no)"
    )
    assert broken_links(page) == ["b.md", "#other", "a.md#no"]


def test_the_index_lists_every_page_once() -> None:
    """The lists become the table of contents; links in the text before them do not count."""
    lists = (ROOT / "docs" / "index.md").read_text().split("\n## ", 1)[1]
    listed = re.findall(r"^- \[.*?\]\((.+?)\)", lists, re.MULTILINE)
    assert sorted(listed) == sorted(
        page.name for page in (ROOT / "docs").glob("*.md") if page.stem != "index"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_have_a_description(page: Path) -> None:
    assert re.findall(r"!\[\]\(.*?\)", page.read_text()) == []
