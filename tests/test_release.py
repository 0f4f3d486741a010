"""What a release says about itself, in several files at once."""

from __future__ import annotations

import re

import yaml

import pafpose
from pafpose.inference.format_version import FORMAT_VERSION
from tests.conftest import ROOT


def test_the_citation_has_the_version_and_licence_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == pafpose.__version__ and re.fullmatch(r"\d+\.\d+\.\d+", citation["version"])
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "MIT"
    assert citation["title"] == "pafpose" and citation["authors"] and citation["message"]


def test_the_page_about_versions_states_the_present_format() -> None:
    text = (ROOT / "docs" / "versions.md").read_text()
    assert f"`format_version` beside its config. It is {FORMAT_VERSION}," in text


def test_files_that_the_security_policy_names_are_there() -> None:
    named = re.findall(r"`((?:pafpose|tests|docs)/[\w/.]+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) >= 3 and all((ROOT / path).exists() for path in named)
