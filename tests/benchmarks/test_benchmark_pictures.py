"""The pictures of docs/targets.md: small, all of them on the page, and one of every choice."""

from __future__ import annotations

import re

from PIL import Image

from benchmarks import target_pictures
from pafpose.targets.settings import CHOICES
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "targets.md"


def test_the_page_shows_every_sheet_and_every_choice():
    shown = re.findall(r"images/targets/([\w.]+)\.png", PAGE.read_text())
    assert shown == [sheet.key for sheet in target_pictures.SHEETS]
    assert set(CHOICES) - set(shown) == {"mask.outside_image"}


def test_pictures_of_the_page_are_small():
    sizes = {path.name: path.stat().st_size for path in (PAGE.parent / "images" / "targets").glob("*.png")}
    assert len(sizes) == len(target_pictures.SHEETS)
    assert max(sizes.values()) < 150_000 and sum(sizes.values()) < 2_000_000


def test_shrinking_keeps_rare_colours(tmp_path):
    picture = Image.effect_noise((900, 500), 40).convert("RGB")
    picture.paste((255, 0, 0), (10, 10, 40, 40))
    picture.save(tmp_path / "large.png")
    small = Image.open(target_pictures.shrink(tmp_path / "large.png", tmp_path / "new" / "small.png"))
    assert small.size == (387, 215) and small.mode == "P"
    red, green, blue = small.convert("RGB").getpixel((11, 11))
    assert red > 240 and green < 20 and blue < 20
