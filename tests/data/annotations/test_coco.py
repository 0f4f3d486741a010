"""Annotation files of every form, and ground truth that goes back into pycocotools."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pafpose.data.annotations.faults import Faults
from pafpose.data.annotations.ground_truth import ground_truth
from pafpose.data.annotations.index import count_labelled
from pafpose.data.photo_file import read_header
from pafpose.errors import PafposeError
from tests.data.coco_files import COCO_NAMES, person, read_split, six_points, write_split

GREY = np.full((60, 80, 3), 90, np.uint8)
BOX = (5, 5, 40, 50)


def read(file, skeleton, **keys):
    return read_split(file, file.parent.parent / "train2017", skeleton, **keys)


def change(file, edit) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_photos_are_sorted_by_id_people_stay_in_file_order(tmp_path, coco18):
    file = write_split(tmp_path, [(GREY, [person({}, box=BOX)] * n) for n in (2, 0, 3)])
    change(file, lambda c: (c["images"].reverse(), c["annotations"].reverse()))
    index = read(file, coco18)
    assert index.ids.tolist() == [1, 2, 3]
    assert [index.people(n) for n in range(3)] == [slice(0, 2), slice(2, 2), slice(2, 5)]
    assert index.annotation_ids.tolist() == [2, 1, 5, 4, 3]
    assert index.photo_of().tolist() == [0, 0, 2, 2, 2]
    assert index.size(0) == (60, 80)
    limited = index.head(2)
    assert limited.ids.tolist() == [1, 2] and limited.annotation_ids.tolist() == [2, 1]
    assert index.head(3) is index


def test_nobody(tmp_path, coco18):
    index = read(write_split(tmp_path, [(GREY, []), (GREY, [])]), coco18)
    assert len(index) == 2 and index.keypoints.shape == (0, 18, 3) and index.boxes.shape == (0, 4)
    assert ground_truth(index, coco18)["annotations"] == []


def test_keypoints_are_matched_by_name(tmp_path, coco18):
    names = ["right_wrist", "tail", "nose"]
    people = [
        {"keypoints": [1.5, 2.25, 1, 7, 7, 2, 3, 4, 2], "bbox": BOX, "category_id": 5},
        {"keypoints": [9, 8, 2], "bbox": BOX, "category_id": 7},
        {"keypoints": [0, 0, 0], "bbox": BOX, "category_id": 9},
    ]
    categories = [
        {"id": 5, "name": "a", "keypoints": names},
        {"id": 7, "name": "b", "keypoints": ["left_eye"]},
        {"id": 9, "name": "c"},
    ]
    index = read(write_split(tmp_path, [(GREY, people)], categories=categories), coco18)
    assert len(index.keypoints) == 2  # a category without keypoints has no people
    assert index.keypoints[0, coco18.index("right_wrist")].tolist() == [1.5, 2.25, 1]
    assert index.keypoints[0, coco18.index("nose")].tolist() == [3, 4, 2]
    assert index.keypoints[1, coco18.index("left_eye")].tolist() == [9, 8, 2]
    assert count_labelled(index, coco18.scored).tolist() == [2, 1]
    assert count_labelled(index, coco18.scored, occluded=False).tolist() == [1, 1]


def test_what_is_missing_is_filled_in(tmp_path, coco18):
    bare = {
        "category_id": 1,
        "keypoints": person({"nose": (10, 20), "left_eye": (30, 50)}, box=BOX)["keypoints"],
    }
    index = read(write_split(tmp_path, [(GREY, [bare, {"category_id": 1, "bbox": [1, 2, 3, 4]}])]), coco18)
    assert index.boxes.tolist() == [[10, 20, 20, 30], [0.5, 1.5, 3, 4]]
    assert index.areas.tolist() == [600, 12]
    assert not index.crowd.any() and not index.has_mask().any()
    assert count_labelled(index, coco18.scored).tolist() == [2, 0]


def test_boxes_move_from_the_files_frame_to_that_of_keypoints_and_back(tmp_path, coco18):
    """COCO counts from the outer corner of the first pixel, which is (-0.5, -0.5) in our frame."""
    whole, one_pixel = (0, 0, 80, 60), (7, 3, 1, 1)
    file = write_split(tmp_path, [(GREY, [person({}, box=whole), person({}, box=one_pixel)])])
    index = read(file, coco18)
    assert index.boxes.tolist() == [[-0.5, -0.5, 80, 60], [6.5, 2.5, 1, 1]]
    truth = ground_truth(index, coco18)["annotations"]
    assert [person["bbox"] for person in truth] == [list(whole), list(one_pixel)]


def test_keypoints_that_are_not_finite_are_unlabelled(tmp_path, coco18):
    odd = person(six_points(20, 20), box=BOX)
    odd["keypoints"][0] = float("nan")
    odd["keypoints"][5 * 3 + 1] = float("inf")
    odd["keypoints"][6 * 3 + 2] = 7
    odd["bbox"] = [float("nan"), 0, -3, 5]
    file = write_split(tmp_path, [(GREY, [odd])])
    index = read(file, coco18, faults=Faults(file, "skip"))
    assert np.isfinite(index.keypoints).all() and np.isfinite(index.boxes).all()
    assert index.keypoints[0, 0].tolist() == [0, 0, 0] and index.keypoints[0, 6, 2] == 2
    assert count_labelled(index, coco18.scored).tolist() == [4]


def test_size_missing_from_the_file_is_read_from_the_photo(tmp_path, coco18):
    file = write_split(tmp_path, [(GREY, [])])
    change(file, lambda c: [c["images"][0].pop(key) for key in ("height", "width")])
    assert read(file, coco18).size(0) == (60, 80)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["images"].clear(), "lists no images"),
        (lambda c: c["images"].append(c["images"][0]), "image id 1 occurs twice"),
        (lambda c: c["categories"][0].pop("keypoints"), "no category lists its keypoints"),
        (lambda c: c.pop("annotations"), "lacks \\['annotations'\\]"),
        (lambda c: c["annotations"][0]["keypoints"].pop(), "annotation 1 of image 1: 50 numbers"),
        (
            lambda c: c["categories"][0].update(keypoints=["tail"] * 17),
            "skeleton coco18: the data set has none of its",
        ),
    ],
)
def test_unusable_files_say_why(tmp_path, coco18, edit, message):
    file = write_split(tmp_path, [(GREY, [person({}, box=BOX)])])
    change(file, edit)
    with pytest.raises(PafposeError, match=message):
        read(file, coco18)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_file_without_a_json_mapping_is_refused(tmp_path, coco18, content):
    file = write_split(tmp_path, [(GREY, [])])
    file.write_text(content)
    with pytest.raises(PafposeError, match=r"person_keypoints_train2017\.json"):
        read(file, coco18)


def test_annotations_of_unlisted_images_are_left_out(tmp_path, coco18, caplog):
    file = write_split(tmp_path, [(GREY, [person({}, box=BOX)])])
    change(file, lambda c: c["annotations"].append(c["annotations"][0] | {"image_id": 99}))
    assert len(read(file, coco18).keypoints) == 1
    assert "left out 1 annotations of images that it does not list" in caplog.text


def test_ground_truth_repeats_the_file(coco_mini, coco18):
    file = coco_mini / "annotations" / "person_keypoints_val2017.json"
    original = json.loads(file.read_text())
    truth = ground_truth(read_split(file, coco_mini / "val2017", coco18), coco18)
    assert truth["categories"][0]["keypoints"] == COCO_NAMES
    assert {i["id"] for i in truth["images"]} == {i["id"] for i in original["images"]}
    mine = {a["id"]: a for a in truth["annotations"]}
    assert len(mine) == len(original["annotations"])
    for theirs in original["annotations"]:
        own = mine[theirs["id"]]
        for key in ("image_id", "area", "iscrowd", "num_keypoints"):
            assert own[key] == theirs[key], key
        assert own["bbox"] == pytest.approx(theirs["bbox"], abs=1e-12)
        labelled = np.array(theirs["keypoints"]).reshape(-1, 3)
        labelled[labelled[:, 2] == 0] = 0
        assert own["keypoints"] == labelled.ravel().tolist()
        assert ("segmentation" in own) == bool(theirs["iscrowd"])


def test_limb_pairs_of_the_ground_truth_count_from_one(tmp_path, coco18):
    truth = ground_truth(read(write_split(tmp_path, [(GREY, [])]), coco18), coco18)
    pairs = np.array(truth["categories"][0]["skeleton"])
    assert pairs.min() >= 1 and pairs.max() <= 17


def test_unicode_names(tmp_path, coco18):
    folder = tmp_path / "écran 写真" / "train2017"
    file = write_split(folder.parent, [(GREY, [])])
    (folder / "000000000001.jpg").rename(folder / "été.jpg")
    change(file, lambda c: c["images"][0].update(file_name="été.jpg"))
    path = read(file, coco18).path(0)
    assert path.name == "été.jpg" and read_header(path).size == (60, 80)


def test_variations_of_home_made_files_are_accepted(tmp_path, coco18, caplog):
    """One category as a mapping, no category_id, digits in quotes, rows of three, repeated ids."""
    plain = person(six_points(20, 20), box=BOX)
    rows = {
        "keypoints": np.reshape(plain["keypoints"], (-1, 3)).tolist(),
        "bbox": BOX,
        "image_id": "1",
        "id": 7,
    }
    file = write_split(tmp_path, [(GREY, [plain])])

    def edit(c):
        c["categories"] = c["categories"][0]
        c["images"][0]["id"] = "1"
        c["annotations"] += [rows, rows | {"category_id": 1}, rows | {"category_id": 8}]

    change(file, edit)
    index = read(file, coco18)
    assert len(index.keypoints) == 3 and sorted(set(index.annotation_ids.tolist())) == [1, 2, 3]
    assert (index.keypoints == index.keypoints[0]).all()
    assert "ids are not unique" in caplog.text and "left out 1 annotations of categories" in caplog.text


def test_keypoints_that_the_file_does_not_name_are_logged(tmp_path, caplog):
    from tests.data.annotations.test_formats import skeleton

    read(write_split(tmp_path, [(GREY, [person(six_points(20, 20), box=BOX)])]), skeleton("body25"))
    assert "6 of the 23 keypoints of skeleton body25" in caplog.text and "left_heel" in caplog.text


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(annotations={}), "annotation list is a dict"),
        (lambda c: c["annotations"].append(5), "annotation number 1 is a int"),
        (lambda c: c["annotations"][0].pop("image_id"), "annotation 1 has image_id=None; a whole number"),
        (lambda c: c["images"][0].update(id="x"), "image 'x' has id='x'"),
        (lambda c: c["images"][0].pop("file_name"), "image 1 has no file_name"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"annotation 1 of image 1: bbox \[1, 2\]"),
    ],
)
def test_malformed_entries_are_named(tmp_path, coco18, edit, message):
    file = write_split(tmp_path, [(GREY, [person({}, box=BOX)])])
    change(file, edit)
    with pytest.raises(PafposeError, match=message):
        read(file, coco18)
