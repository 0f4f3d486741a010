"""Ignored cells against masks of full resolution, and the rules of who is drawn and ignored."""

from __future__ import annotations

import itertools
import json
import warnings

import cv2
import numpy as np
import pytest

from pafpose import geometry
from pafpose.data.photos.augment import AugmentSettings, crop_matrix, sample_affine
from pafpose.data.photos.ignored import PersonFlags, flag_people, ignored_cells
from pafpose.targets.settings import MaskSettings
from tests.data.coco_files import person, read_split, six_points, write_split

H, W = 90, 130


def full_mask(annotation: dict, size: tuple[int, int], region: str = "segmentation") -> np.ndarray:
    """Return the mask as COCO's own tools draw it."""
    from pycocotools import mask

    shape = annotation.get("segmentation")
    if isinstance(shape, list):
        shape = [polygon for polygon in shape if len(polygon) >= 6]
    if region == "box" or not shape:
        x, y, w, h = annotation["bbox"]
        columns, rows = np.arange(size[1]) + 0.5, np.arange(size[0])[:, None] + 0.5
        return (columns >= x) & (columns <= x + w) & (rows >= y) & (rows <= y + h)
    packed = isinstance(shape, dict) and isinstance(shape["counts"], str)
    rle = shape if packed else mask.frPyObjects(shape, *size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycocotools on numpy 2
        return mask.decode(mask.merge(rle) if isinstance(rle, list) else rle).astype(bool)


def index_of(tmp_path, coco18, people, size=(H, W)):
    file = write_split(tmp_path, [(np.zeros((*size, 3), np.uint8), people)], suffix="png")
    return read_split(file, tmp_path / "train2017", coco18)


def lookup(index, people, region="segmentation", photo=0):
    """(height, width) bool: the regions of these people at every pixel of their photo."""
    ignored = np.isin(np.arange(len(index.boxes)), people)
    return ignored_cells(
        index,
        photo,
        flags=PersonFlags(ignored, ignored, ~ignored),
        mask=MaskSettings(region=region, protect_labelled=False),
        matrix=geometry.identity(),
        cells=index.size(photo),
        stride=1,
    )


def ellipse(x, y, a, b):
    t = np.linspace(0, 2 * np.pi, 17)[:-1]
    return np.stack([x + a * np.cos(t), y + b * np.sin(t)], -1).round(2).ravel().tolist()


def runs(mask: np.ndarray) -> list[int]:
    """Return COCO's plain run lengths, slowly."""
    counts, value = [0], 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def annotations(rng) -> list[dict]:
    """Every form of segmentation."""
    blob = cv2.GaussianBlur(rng.random((H, W)), (0, 0), 4) > 0.5
    from pycocotools import mask

    uncompressed = {"size": [H, W], "counts": runs(blob)}
    compressed = mask.frPyObjects({"size": [H, W], "counts": runs(~blob)}, H, W)
    compressed["counts"] = compressed["counts"].decode()
    box = (10.3, 12.6, 50.3, 40.8)
    return [
        person({}, box=box, segmentation=[ellipse(30, 40, 22, 15)]),
        person(
            {}, box=box, segmentation=[ellipse(100, 20, 40, 30), ellipse(20, 80, 18, 30)]
        ),  # cut by the edge
        person({}, box=box, segmentation=uncompressed, iscrowd=1),
        person({}, box=box, segmentation=compressed, iscrowd=1),
        person({}, box=box),
        person({}, box=box, segmentation=[]),
        person({}, box=box, segmentation=[[1, 1, 2, 2]]),
    ]


def test_every_form_of_segmentation_matches_cocos_masks(tmp_path, coco18, rng):
    people = annotations(rng)
    index = index_of(tmp_path, coco18, people)
    for m, annotation in enumerate(people[:6]):
        for region in ("segmentation", "box"):
            assert np.array_equal(lookup(index, [m], region), full_mask(annotation, (H, W), region)), (
                m,
                region,
            )
    assert np.array_equal(lookup(index, [6]), lookup(index, [4]))  # a degenerate polygon: the box
    union = np.any([full_mask(a, (H, W)) for a in people[:5]], 0)
    assert np.array_equal(lookup(index, range(5)), union)


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize(
    ("region", "protect", "outside"),
    list(itertools.product(["segmentation", "box"], [True, False], [True, False])),
)
def test_cells_match_a_full_resolution_warp(tmp_path, coco18, rng, *, stride, region, protect, outside):
    people = annotations(rng)
    people += [person(six_points(30, 30), box=(25, 25, 30, 50), segmentation=[ellipse(40, 50, 20, 28)])]
    index = index_of(tmp_path, coco18, people)
    mask = MaskSettings(region=region, protect_labelled=protect, outside_image=outside)
    roles = flag_people(index, coco18, mask)
    photo = np.any([full_mask(a, (H, W), region) for a in people[:7]], 0)
    if protect:
        photo &= ~full_mask(people[7], (H, W), region)
    crop = 96
    augment = AugmentSettings(crop=crop, shift=20)
    for _ in range(10):
        matrix = crop_matrix(sample_affine(augment, rng), centre=(60, 45), scale=1.3, crop=crop)
        cells = ignored_cells(
            index,
            0,
            flags=roles,
            mask=mask,
            matrix=matrix,
            cells=(crop // stride, crop // stride),
            stride=stride,
        )
        y, x = np.mgrid[:crop, :crop]
        back = geometry.transform_points(geometry.invert(matrix), np.stack([x, y], -1))
        px, py = np.floor(back + 0.5).astype(int).transpose(2, 0, 1)
        inside = (px >= 0) & (px < W) & (py >= 0) & (py < H)
        warped = np.where(inside, photo[np.clip(py, 0, H - 1), np.clip(px, 0, W - 1)], outside)
        assert np.array_equal(cells, warped[stride // 2 :: stride, stride // 2 :: stride])
        near = cv2.warpAffine(photo.astype(np.uint8), matrix, (crop, crop), flags=cv2.INTER_NEAREST)
        differs = (near.astype(bool) != warped) & inside
        assert differs.mean() < 0.02  # OpenCV rounds in fixed point


def roles_of(tmp_path, coco18, people, **keys) -> tuple[list[bool], list[bool]]:
    roles = flag_people(index_of(tmp_path, coco18, people), coco18, MaskSettings(**keys))
    return roles.drawn.tolist(), roles.ignored.tolist()


def test_who_is_drawn_and_who_is_ignored(tmp_path, coco18):
    few = dict(list(six_points(30, 30).items())[:4])
    box = (10, 10, 40, 60)
    people = [
        person(six_points(30, 30), box=box),
        person(few, box=box),  # 4 keypoints
        person(six_points(30, 30), box=box, area=1023.9),
        person({}, box=box),
        person({}, box=box, iscrowd=1),
        person(six_points(30, 30), box=box, v=1),
    ]
    drawn = [True, True, True, False, False, True]
    assert roles_of(tmp_path, coco18, people) == (drawn, [False, False, False, True, True, False])
    ignored = [False, True, True, True, True, False]
    assert roles_of(tmp_path, coco18, people, small_people="both") == (drawn, ignored)
    fewer = [True, False, False, False, False, True]
    assert roles_of(tmp_path, coco18, people, small_people="ignore") == (fewer, ignored)
    assert roles_of(tmp_path, coco18, people, crowd=False)[1] == [False, False, False, True, False, False]
    assert roles_of(tmp_path, coco18, people, unlabelled_people=False)[1] == [False] * 4 + [True, False]
    assert roles_of(tmp_path, coco18, people, occluded_keypoints=False)[0] == [*drawn[:5], False]
    assert roles_of(tmp_path, coco18, people, min_keypoints=4, small_people="ignore")[0][1]


def test_people_who_are_drawn_and_ignored_do_not_protect_themselves(tmp_path, coco18):
    few = dict(list(six_points(30, 30).items())[:4])
    index = index_of(tmp_path, coco18, [person(few, box=(20, 10, 40, 60))])
    mask = MaskSettings(small_people="both", protect_labelled=True)
    flags = flag_people(index, coco18, mask)
    assert flags.drawn[0]
    cells = ignored_cells(
        index, 0, flags=flags, mask=mask, matrix=geometry.identity(), cells=index.size(0), stride=1
    )
    assert cells.sum() == 40 * 60 and cells[10:70, 20:60].all()


def test_the_neck_does_not_count_towards_min_keypoints(tmp_path, coco18):
    points = dict(list(six_points(30, 30).items())[:4])  # both shoulders among them: the neck is a fifth
    roles = roles_of(tmp_path, coco18, [person(points, box=(10, 10, 60, 60))], small_people="ignore")
    assert roles == ([False], [True])


def test_a_box_and_the_polygon_around_it_ignore_the_same_pixels(tmp_path, coco18):
    """Pixels 3 to 6 across and 2 to 4 down, whether COCO's corners are given as box or as polygon."""
    x, y, w, h = 3, 2, 4, 3
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    people = [person({}, box=(x, y, w, h)), person({}, box=(0, 0, 1, 1), segmentation=[corners])]
    index = index_of(tmp_path, coco18, people)
    expected = np.zeros((H, W), bool)
    expected[2:5, 3:7] = True
    assert np.array_equal(lookup(index, [0]), expected)
    assert np.array_equal(lookup(index, [1]), expected)
    assert np.array_equal(lookup(index, [0], "box"), expected)


def test_without_people_nothing_is_ignored(tmp_path, coco18):
    index = index_of(tmp_path, coco18, [])
    roles = flag_people(index, coco18, MaskSettings())
    assert len(roles.drawn) == len(roles.ignored) == 0
    cells = ignored_cells(
        index, 0, flags=roles, mask=MaskSettings(), matrix=np.eye(3)[:2], cells=(4, 5), stride=8
    )
    assert cells.shape == (4, 5) and not cells.any()


def test_a_mask_of_another_size_is_refused(tmp_path, coco18):
    from pafpose.errors import PafposeError

    shape = {"size": [H, W + 1], "counts": [H * (W + 1)]}
    with pytest.raises(PafposeError, match="annotation 1 of image 1: its RLE mask"):
        index_of(tmp_path, coco18, [person({}, box=(0, 0, 1, 1), segmentation=shape, iscrowd=1)])


def test_coco_mini_masks_match_cocos(coco_mini, coco18):
    file = coco_mini / "annotations" / "person_keypoints_val2017.json"
    index = read_split(file, coco_mini / "val2017", coco18)
    content = {a["id"]: a for a in json.loads(file.read_text())["annotations"]}
    photo_of = index.photo_of()
    for m in range(0, len(photo_of), 3):
        size = index.size(int(photo_of[m]))
        own = lookup(index, [m], photo=int(photo_of[m]))
        assert np.array_equal(own, full_mask(content[int(index.annotation_ids[m])], size))
