"""The page about the decoder: its pictures, and a table that leaves no constant out."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from benchmarks import decode_constants, decode_pictures, oracle
from benchmarks.decode import _crowd, _fields
from pafpose.decode import Decoder, DecodeSettings
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "decoding.md"


@pytest.fixture
def decoder(coco18):
    return Decoder(coco18, DecodeSettings(), stride=8, heatmap_sigma=7)


@pytest.fixture
def fields(coco18, rng):
    return tuple(f.numpy() for f in _fields(_crowd(rng, 3, coco18), coco18, stride=8, rng=rng))


def test_steps_end_with_the_people_that_the_decoder_finds(decoder, fields):
    steps = decode_pictures.decode_steps(decoder, *fields)
    people = decoder(*fields)
    np.testing.assert_array_equal(steps.people, people.keypoints.numpy())
    np.testing.assert_array_equal(steps.person_scores, people.scores.numpy())


def test_samples_give_the_scores_of_the_decoder(decoder, fields):
    steps = decode_pictures.decode_steps(decoder, *fields)
    checked = 0
    for (limb, a, b), score in zip(steps.candidates.tolist(), steps.scores, strict=True):
        first, second = steps.peaks[a], steps.peaks[b]
        length = np.linalg.norm(second[:2] - first[:2])
        if length < 2 * decoder.settings.near:  # near ones may be joined without a field
            continue
        spots, values = decode_pictures.limb_samples(decoder, fields[1], limb, first, second)
        np.testing.assert_allclose(spots[[0, -1]], [first[:2], second[:2]])
        assert values.mean() == pytest.approx(score, abs=0.01)  # cv2 reads in steps of 1/32 cell
        checked += 1
    assert checked > 20


def test_four_panels_and_a_chart(decoder, fields, tmp_path):
    panels = decode_pictures.draw_steps(np.full((368, 368, 3), 90, np.uint8), decoder, *fields)
    assert len(panels) == 4 and len({panel.image.shape for panel in panels}) == 1
    assert [panel.title[0] for panel in panels] == list("1234")
    scores = panels[2].image.reshape(-1, 3).tolist()
    assert list(decode_pictures.GOOD) in scores and list(decode_pictures.BAD) in scores
    keys = ("read_ms", "peaks_ms", "limbs_ms", "people_ms")
    rows = [{"map": m, "people": n} | dict.fromkeys(keys, 0.1 * n) for m in (46, 92) for n in (1, 10)]
    assert decode_pictures.draw_growth(rows, tmp_path / "growth.png").stat().st_size > 5_000


def test_the_page_shows_its_pictures_and_they_are_small():
    shown = re.findall(r"images/decoding/([\w.]+)\)", PAGE.read_text())
    files = {path.name: path.stat().st_size for path in (PAGE.parent / "images" / "decoding").iterdir()}
    assert sorted(shown) == sorted(files) == ["growth.png", "steps.jpg"]
    assert max(files.values()) < 200_000


@pytest.mark.slow  # composes a hundred configs
def test_every_constant_is_in_the_table(monkeypatch, tmp_path):
    assert set(decode_constants.VALUES) == {field.name for field in dataclasses.fields(DecodeSettings)}
    for key, values in decode_constants.VALUES.items():
        for value in values:
            assert DecodeSettings(**{key: value}) != DecodeSettings()
    monkeypatch.setattr(
        "pafpose.tools.oracle.oracle.compute", lambda cfg, _: {"AP": cfg.decode.paf_threshold}
    )
    monkeypatch.setattr(decode_constants, "saved_ap", lambda saved, choices: 0.3 + len(choices) / 10)
    words = ["data=coco", "data.root=unused", "decode=default"]
    table = decode_constants.table(oracle.Results(tmp_path, words), {"ours": None})
    assert "| default | | 0.030 | 0.030 | 0.030 | 0.030 | 0.300 |" in table
    assert "| paf_threshold | 0.1 | +0.070 | +0.070 | +0.070 | +0.070 | +0.100 |" in table
    assert "| samples | 5 | 0 | 0 | 0 | 0 | +0.100 |" in table
    page = PAGE.read_text()
    missing = [k for k, vs in decode_constants.VALUES.items() for v in vs if f"| {k} | {v} |" not in page]
    assert not missing
