"""Skeletons: every shipped one and limb set, the checks when one is made, flips, derived keypoints."""

from __future__ import annotations

import colorsys
import copy
import itertools

import numpy as np
import pytest

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from tests.conftest import ROOT, skeleton_config

NAMES = sorted(path.stem for path in (ROOT / "conf" / "skeleton").glob("*.yaml"))
SETS = [(name, limbs) for name in NAMES for limbs in skeleton_config(name)["limb_sets"]]
SIZES = {  # keypoints with derived ones, limbs of each set
    "coco18": (18, {"openpose": 19, "seed": 17, "tree": 17, "dense": 32}),
    "coco17": (17, {"coco": 19, "tree": 16, "dense": 25}),
    "body25": (25, {"openpose": 26, "tree": 24}),
    "crowdpose14": (14, {"crowdpose": 15, "tree": 13}),
    "hand21": (21, {"fingers": 20, "dense": 24}),
    "animal17": (17, {"ap10k": 17, "tree": 16}),
    "toy5": (5, {"star": 4, "ring": 6}),
}


def toy(**changes: object) -> dict:
    """The toy skeleton with some keys replaced."""
    return copy.deepcopy(skeleton_config("toy5")) | changes


def test_sizes_of_shipped_skeletons():
    found = {}
    for name in NAMES:
        config = skeleton_config(name)
        sets = {s: Skeleton.from_config(config, s).num_limbs for s in config["limb_sets"]}
        found[name] = (Skeleton.from_config(config).num_keypoints, sets)
        assert config["name"] == name
    assert found == SIZES


@pytest.mark.parametrize(("name", "limbs"), SETS)
def test_flip_tables_twice_are_identity(name, limbs, rng):
    skeleton = Skeleton.from_config(skeleton_config(name), limbs)
    keypoints = np.array(skeleton.flip_keypoints)
    assert (keypoints[keypoints] == np.arange(skeleton.num_keypoints)).all()
    permutation, signs = (np.array(t) for t in skeleton.flip_pafs)
    field = rng.normal(size=2 * skeleton.num_limbs)
    once = signs * field[permutation]
    np.testing.assert_array_equal(signs * once[permutation], field)


@pytest.mark.parametrize(("name", "limbs"), SETS)
def test_flip_pafs_follow_the_geometry(name, limbs, rng):
    """Unit vectors of the limbs of a mirrored figure are those that the table predicts."""
    skeleton = Skeleton.from_config(skeleton_config(name), limbs)
    points = rng.normal(size=(skeleton.num_keypoints, 2))
    a, b = np.array(skeleton.limbs).T
    before = (points[b] - points[a]).ravel()
    mirrored = (points * [-1, 1])[list(skeleton.flip_keypoints)]
    permutation, signs = (np.array(t) for t in skeleton.flip_pafs)
    np.testing.assert_allclose((mirrored[b] - mirrored[a]).ravel(), signs * before[permutation])


@pytest.mark.parametrize("name", NAMES)
def test_tree_sets_span(name):
    config = skeleton_config(name)
    if "tree" not in config["limb_sets"]:
        assert name in ("hand21", "toy5")
        return
    skeleton = Skeleton.from_config(config, "tree")
    group = list(range(skeleton.num_keypoints))
    for a, b in skeleton.limbs:
        assert group[a] != group[b], "a cycle"
        group = [group[a] if g == group[b] else g for g in group]
    assert len(set(group)) == 1


def test_sigmas_include_derived(coco18):
    assert len(coco18.sigmas) == 18
    assert coco18.sigmas[coco18.index("neck")] == pytest.approx(0.079)
    assert coco18.index("neck") not in coco18.scored
    assert coco18.scored == tuple(range(17))


@pytest.mark.parametrize(
    ("v", "expected"), [((2, 2), 2), ((1, 2), 1), ((2, 1), 1), ((0, 2), 0), ((2, 0), 0), ((0, 0), 0)]
)
def test_derived_neck(coco18, v, expected):
    people = np.zeros((1, 18, 3))
    people[0, 5], people[0, 6] = (10, 20, v[0]), (30, 22, v[1])
    neck = coco18.derive(people)[0, 17]
    np.testing.assert_array_equal(neck, (20, 21, expected) if expected else (0, 0, 0))
    assert people[0, 17, 2] == 0, "the input is left alone"


def test_derive_nobody(coco18):
    assert coco18.derive(np.zeros((0, 18, 3))).shape == (0, 18, 3)


def test_from_dataset_matches_by_name(coco18):
    names = ["right_shoulder", "left_shoulder", "tail"]
    people = coco18.from_dataset(np.array([[[1.0, 2, 2], [3, 4, 2], [9, 9, 2]]]), names)
    np.testing.assert_array_equal(people[0, [5, 6, 17]], [[3, 4, 2], [1, 2, 2], [2, 3, 2]])
    assert people[0, :, 2].sum() == 6
    with pytest.raises(PafposeError, match=r"has none of its keypoints .*skeleton=\.\.\."):
        coco18.from_dataset(np.zeros((1, 1, 3)), ["tail"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": []}, "keypoints is empty"),
        ({"keypoints": ["top", "top"]}, "'top' is listed twice"),
        ({"pairs": [["left_hand", "right_hnad"]]}, "did you mean 'right_hand'"),
        ({"pairs": [["left_hand", "left_hand"]]}, "both ends are 'left_hand'"),
        ({"pairs": [["left_hand", "right_hand"], ["left_hand", "left_foot"]]}, "'left_hand' is in two pairs"),
        ({"sigmas": [0.1]}, "1 values for 5 keypoints"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 0.0]}, "must be above 0"),
        ({"sigmas": {"top": 0.1}}, "no OKS sigma for"),
        ({"derived": {"top": ["left_hand", "right_hand"]}}, "'top' is listed twice"),
        (
            {"derived": {"middle": ["left_hand", "right_foot"]}},
            r"derived\.middle: a flip turns its parents into",
        ),
        ({"derived": {"middle": ["left_hand", "nose"]}}, "unknown keypoint 'nose'"),
        ({"colours": {"nose": [1, 2, 3]}}, "unknown keypoint 'nose'"),
        ({"default_limbs": None}, "default_limbs is missing"),
        ({"default_limbs": "stars"}, r"paf\.limbs=stars: .* choose one of ring, star"),
    ],
)
def test_bad_skeletons_say_what_is_wrong(changes, message):
    with pytest.raises(PafposeError, match=message):
        Skeleton.from_config(toy(**changes))


@pytest.mark.parametrize(
    ("limbs", "message"),
    [
        ([], "no limbs"),
        ([["top", "left_hnad"]], "did you mean 'left_hand'"),
        ([["top", "top"]], "both ends"),
        ([["top", "left_hand", "right_hand"]], "expected two keypoint names"),
        ([["top", "left_hand"], ["left_hand", "top"]], "is listed twice"),
    ],
)
def test_bad_explicit_limbs(limbs, message):
    with pytest.raises(PafposeError, match=message):
        Skeleton.from_config(toy(), limbs)


def test_named_sets_must_mirror_and_reach_everything():
    star = skeleton_config("toy5")["limb_sets"]["star"]
    with pytest.raises(PafposeError, match="no limb reaches right_foot"):
        Skeleton.from_config(toy(limb_sets={"star": star[:-1]}))
    lopsided = [*star, ["left_hand", "left_foot"]]
    with pytest.raises(PafposeError, match=r"no mirror image \[right_hand, right_foot\]"):
        Skeleton.from_config(toy(limb_sets={"star": lopsided}))


def test_explicit_lists_are_freer():
    with pytest.warns(UserWarning, match="no limb reaches right_hand, left_foot, right_foot"):
        skeleton = Skeleton.from_config(toy(), [["top", "left_hand"]])
    assert skeleton.limb_set == "explicit"
    with pytest.raises(PafposeError, match=r"augment\.flip=0"):
        _ = skeleton.flip_pafs


def test_limb_that_mirrors_onto_itself_changes_y():
    with pytest.warns(UserWarning):
        skeleton = Skeleton.from_config(toy(), [["left_foot", "right_foot"]])
    assert skeleton.flip_pafs == ((0, 1), (1.0, -1.0))


def test_derived_pairs_may_mirror_each_other():
    derived = {"left_side": ["left_hand", "left_foot"], "right_side": ["right_hand", "right_foot"]}
    star = skeleton_config("toy5")["limb_sets"]["star"]
    sides = [["top", "left_side"], ["top", "right_side"]]
    pairs = [*skeleton_config("toy5")["pairs"], ["left_side", "right_side"]]
    skeleton = Skeleton.from_config(toy(derived=derived, pairs=pairs, limb_sets={"star": star + sides}))
    assert skeleton.flip_keypoints == (0, 2, 1, 4, 3, 6, 5)


def test_colours_differ_and_can_be_given():
    assert len(set(Skeleton.from_config(toy()).colours)) == 5
    assert Skeleton.from_config(toy(colours={"top": [1, 2, 3]})).colours[0] == (1, 2, 3)
    assert len(Skeleton.from_config(toy()).limb_colours) == 4


def test_left_is_warm_right_is_cool_and_the_middle_green():
    """Each group runs through its hues from the first keypoint to the last; saturation and value stay."""
    names = ["top", "l1", "r1", "middle", "l2", "r2", "l3", "r3", "bottom"]
    pairs = [["l1", "r1"], ["l2", "r2"], ["l3", "r3"]]
    config = {"name": "s", "keypoints": names, "sigmas": [0.1] * 9, "pairs": pairs}
    skeleton = Skeleton.from_config(config, list(itertools.pairwise(names)))
    for group, (first, last) in {
        ("l1", "l2", "l3"): (0.0, 0.14),
        ("r1", "r2", "r3"): (0.52, 0.72),
        ("top", "middle", "bottom"): (0.26, 0.44),
    }.items():
        colours = [np.array(skeleton.colours[names.index(name)]) / 255 for name in group]
        hues, saturations, values = np.array([colorsys.rgb_to_hsv(*colour) for colour in colours]).T
        np.testing.assert_allclose(hues, [first, (first + last) / 2, last], atol=0.003)
        np.testing.assert_allclose(saturations, 0.85, atol=0.005)
        np.testing.assert_array_equal(values, 1)


def test_one_left_and_one_right_take_the_first_hue_of_their_side():
    config = {"name": "s", "keypoints": ["l", "r"], "sigmas": [0.1] * 2, "pairs": [["l", "r"]]}
    left, right = Skeleton.from_config(config, [["l", "r"]]).colours
    assert left == (255, 38, 38) and right == (38, 229, 255)


def test_an_alias_may_be_one_word_and_bring_a_side():
    config = {"name": "s", "keypoints": ["right_hand", "tail"], "sigmas": [0.1] * 2}
    skeleton = Skeleton.from_config(
        config | {"aliases": {"tail": "end", "right_hand": ["r_paw"]}}, [["right_hand", "tail"]]
    )
    assert skeleton.match(["End", "right paw"]) == {0: 1, 1: 0}
    assert skeleton.match(["R Hand", "TAIL"]) == {0: 0, 1: 1}


def test_data_sets_may_spell_names_their_way(coco18):
    names = ["Left Eye", "L-Wrist", "NOSE", "tail", "nose"]
    assert coco18.match(names) == {0: 4, 1: 0, coco18.index("left_wrist"): 1}
    shouting = Skeleton.from_config(
        {"name": "s", "keypoints": ["Left-Eye", "NOSE"], "sigmas": [0.1, 0.1]}, [["Left-Eye", "NOSE"]]
    )
    assert shouting.match(["nose", "left_eye"]) == {0: 1, 1: 0}
    animal = Skeleton.from_config(skeleton_config("animal17"))
    assert animal.match(["L_F_Paw", "Root of tail"]) == {4: 1, 7: 0}
    with pytest.raises(PafposeError, match=r"aliases\.left: 'Right' already means a"):
        Skeleton.from_config({"name": "s", "keypoints": ["left", "right"], "sigmas": [0.1, 0.1],
                              "aliases": {"left": ["Right"]}}, [["left", "right"]])  # fmt: skip
