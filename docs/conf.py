"""Sphinx settings: ``make docs`` builds ``docs/*.md`` into ``docs/_build``, with warnings as errors.

The pages stay plain Markdown that reads well in a repository. Three are completed when the site is built:
the lists of ``index.md`` become the table of contents, ``config.md`` receives the keys of ``conf/`` and
``api.md`` the docstrings of the public names.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pafpose  # noqa: E402
from docs.config_reference import reference  # noqa: E402

project = "pafpose"
author = "the authors of pafpose"
version = release = pafpose.__version__
html_title = f"pafpose {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.mathml"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

_LINK = re.compile(r"^- \[(.*?)\]\((.*?)\.md\)", re.MULTILINE)


def contents(index: str) -> str:
    """Return hidden tables of contents: one for each heading of the index, with the pages it lists."""
    trees = []
    for section in index.split("\n## ")[1:]:
        caption = section.partition("\n")[0]
        pages = [f"{title} <{page}>" for title, page in _LINK.findall(section)]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"]))
    return "\n\n".join(trees)


def public_names() -> str:
    """Return the autodoc directives of all public names: functions first, then classes."""
    names = [name for name in sorted(pafpose.__all__) if not name.startswith("_")]
    classes = [name for name in names if isinstance(getattr(pafpose, name), type)]
    lines = [f".. autofunction:: pafpose.{name}\n" for name in names if name not in classes]
    lines += [f".. autoclass:: pafpose.{name}\n   :members:\n" for name in classes]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def complete(app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page what is written by the code rather than by hand; files outside docs become downloads."""
    source[0] = source[0].replace("](../", "](path:../")
    if page == "index":
        source[0] += f"\n\n{contents(source[0])}\n"
    elif page == "config":
        source[0] += f"\n\n{reference(ROOT / 'conf')}\n"
    elif page == "api":
        source[0] += f"\n\n{public_names()}\n"


def setup(app: Sphinx) -> None:
    """Complete pages as they are read."""
    app.connect("source-read", complete)
