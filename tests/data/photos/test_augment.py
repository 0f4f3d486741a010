"""Random geometry within its ranges, the crop matrix by hand, and colour transforms from YAML."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from pafpose import geometry
from pafpose.data.photos.augment import (
    AffineParams,
    AugmentSettings,
    crop_matrix,
    sample_affine,
)
from pafpose.data.photos.colour import Photometric
from pafpose.errors import PafposeError
from tests.conftest import ROOT


def preset(name: str) -> AugmentSettings:
    """conf/augment/<name>.yaml over the default."""
    files = [ROOT / "conf" / "augment" / f"{n}.yaml" for n in ("default", name)]
    values: dict = {}
    for file in files:
        values |= yaml.safe_load(file.read_text())
    values.pop("defaults", None)
    return AugmentSettings(**values)


def test_the_default_is_that_of_the_paper():
    settings = preset("default")
    assert settings == AugmentSettings()
    assert (settings.crop, settings.target_dist, settings.scale) == (368, 0.6, (0.5, 1.1))
    assert (settings.rotation, settings.shift, settings.flip) == (40.0, 40.0, 0.5)


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "conf" / "augment").glob("*.yaml")))
def test_every_preset_works(name):
    settings = preset(name)
    assert settings.crop % 8 == 0
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    if settings.photometric:
        out = Photometric(settings.photometric)(image, np.random.default_rng(1))
        assert out.shape == image.shape and out.dtype == np.uint8


def test_crop_matrix_by_hand():
    still = AffineParams(scale=1.0, degrees=0.0, shift=(0.0, 0.0), flip=False)
    move = lambda draw, x, y: geometry.transform_points(  # noqa: E731
        crop_matrix(draw, centre=(50, 20), scale=2.0, crop=11), np.array([x, y])
    ).tolist()
    assert move(still, 50, 20) == [5, 5]
    assert move(still, 51, 22) == [7, 9]
    assert move(still._replace(flip=True), 51, 22) == [3, 9]
    assert move(still._replace(scale=0.5), 51, 22) == [6, 7]
    assert move(still._replace(shift=(1.0, -3.0)), 50, 20) == [6, 2]
    assert move(still._replace(degrees=90.0), 51, 20) == pytest.approx([5, 7])
    assert move(still._replace(degrees=90.0, flip=True), 50, 21) == pytest.approx([7, 5])
    assert geometry.scale_of(crop_matrix(still, centre=(0, 0), scale=0.3, crop=8)) == pytest.approx(0.3)


def test_draws_fill_their_ranges(rng):
    draws = [sample_affine(AugmentSettings(), rng) for _ in range(2000)]
    scale, degrees = np.array([d.scale for d in draws]), np.array([d.degrees for d in draws])
    shift, flips = np.array([d.shift for d in draws]), np.array([d.flip for d in draws])
    assert 0.5 <= scale.min() < 0.52 and 1.08 < scale.max() <= 1.1
    assert -40 <= degrees.min() < -38 and 38 < degrees.max() <= 40
    assert np.abs(shift).max() <= 40 and (np.abs(shift).max(0) > 39).all()
    assert 0.45 < flips.mean() < 0.55


def test_scale_and_rotation_have_separate_probabilities(rng):
    draws = [sample_affine(AugmentSettings(scale_p=0.3, rotation_p=0.6, flip=0.1), rng) for _ in range(4000)]
    scaled, turned = (np.array([d.scale != 1 for d in draws]), np.array([d.degrees != 0 for d in draws]))
    assert abs(scaled.mean() - 0.3) < 0.03 and abs(turned.mean() - 0.6) < 0.03
    assert abs((scaled & turned).mean() - 0.18) < 0.03
    assert abs(np.mean([d.flip for d in draws]) - 0.1) < 0.02


def test_rotations_of_the_preset_seed_are_normal_clipped_and_rare(rng):
    settings = preset("seed")
    degrees = np.array([sample_affine(settings, rng).degrees for _ in range(4000)])
    turned = degrees[degrees != 0]
    assert 0.36 < len(turned) / len(degrees) < 0.44
    assert np.abs(turned).max() == 60
    assert 26 < turned.std() < 30  # 30, a little less for the clipping


def test_none_changes_nothing(rng):
    settings = preset("none")
    assert {sample_affine(settings, rng) for _ in range(20)} == {AffineParams(1.0, 0.0, (0.0, 0.0), False)}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crop", 0),
        ("crop", "big"),
        ("target_dist", 0),
        ("scale", [1.1, 0.5]),
        ("scale", 1),
        ("scale", [0, 1]),
        ("scale_p", 1.5),
        ("rotation", -1),
        ("rotation_draw", "gauss"),
        ("rotation_p", -0.1),
        ("shift", -4),
        ("flip", 2),
        ("photometric", ["ColorJitter"]),
        ("photometric", [{"p": 1}]),
    ],
)
def test_bad_values_name_the_key(key, value):
    with pytest.raises(PafposeError, match=rf"augment\.{key}="):
        AugmentSettings(**{key: value})


def test_integers_become_floats():
    settings = AugmentSettings(rotation=40, scale=[1, 2], flip=1)
    assert isinstance(settings.rotation, float) and settings.scale == (1.0, 2.0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "ColourJitter"}, "no transform 'ColourJitter'"),
        ({"name": "HorizontalFlip"}, "moves pixels"),
        ({"name": "ElasticTransform"}, "moves pixels"),
        ({"name": "ColorJitter", "brihgtness": 0.3}, "ColorJitter.*brihgtness"),
        ({"name": "RandomGamma", "gamma_limit": "much"}, "RandomGamma"),
    ],
)
def test_bad_photometric_entries_say_why(entry, message):
    with pytest.raises(PafposeError, match=message):
        Photometric([entry])


def test_photometric_depends_on_the_generator_alone():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    colour = Photometric([{"name": "ColorJitter", "p": 1.0}])
    first = colour(image, np.random.default_rng(1))
    assert not np.array_equal(first, colour(image, np.random.default_rng(2)))
    assert np.array_equal(
        first, Photometric([{"name": "ColorJitter", "p": 1.0}])(image, np.random.default_rng(1))
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cutout", {"p": 2}, r"augment\.cutout\.p="),
        ("cutout", {"size": [0.5, 0.1]}, r"augment\.cutout\.size="),
        ("cutout", {"count": [3, 1]}, r"augment\.cutout\.count="),
        ("occlusion", {"fill": "stars"}, r"augment\.occlusion\.fill='stars'.*background"),
        ("occlusion", {"colour": 1}, r"augment\.occlusion: .*colour"),
        ("paste", {"height": [0, 1]}, r"augment\.paste\.height="),
        ("paste", {"apart": [-1, 1]}, r"augment\.paste\.apart="),
        ("paste", {"min_height": 0}, r"augment\.paste\.min_height="),
        ("colour", {"hue": 200}, r"augment\.colour\.hue=200"),
        ("colour", {"p": "often"}, r"augment\.colour\.p='often'"),
    ],
)
def test_bad_settings_name_the_key(key, value, message):
    with pytest.raises(PafposeError, match=message):
        AugmentSettings(**{key: value})
