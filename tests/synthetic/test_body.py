"""Bodies in front of the camera, and creatures: bones, sides and what a figure's own body hides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.synthetic.appearance import sample_appearance
from pafpose.synthetic.body import JOINTS, Body, sample_bodies
from pafpose.synthetic.canvas import MAX_PARTS, Canvas, owner_mask
from pafpose.synthetic.creature import Creature, make_rest_pose
from pafpose.synthetic.person import HEAD, LIMB_PARTS, TORSO, Person
from pafpose.synthetic.picture import FigureSampler
from tests.conftest import ROOT, skeleton_config
from tests.synthetic.helpers import SMALL, SNAIL

SKELETONS = sorted(path.stem for path in (ROOT / "conf" / "skeleton").glob("*.yaml"))


@pytest.fixture
def bodies(rng: np.random.Generator) -> list[Body]:
    found = sample_bodies(rng, 300, sides=0.3)
    for body in found:
        body.place(1.0, 0)
    return found


def test_left_is_right_in_front_views_and_left_from_behind(bodies: list[Body]) -> None:
    across = np.array([(b.points["left_shoulder"] - b.points["right_shoulder"]).real for b in bodies])
    facing = np.array([body.chest_front for body in bodies])
    front, back = facing > 0.5, facing < -0.5
    assert front.sum() > 90 and back.sum() > 50 and (~front & ~back).sum() > 40
    assert (across[front] > 0).all()
    assert (across[back] < 0).all()


def test_people_stand_upright_and_look_where_their_nose_points(bodies: list[Body]) -> None:
    def upright(body: Body) -> bool:
        return body.points["neck"].imag < body.points["pelvis"].imag < body.points["left_ankle"].imag

    assert np.mean([upright(body) for body in bodies]) > 0.85  # y grows downwards
    for body in bodies:
        nose = body.points["nose"] - body.points["head_centre"]
        assert (nose * body.face.conjugate()).real > 0 or abs(body.face) < 0.35
        assert (body.depth["nose"] > body.depth["head_centre"]) == (body.face_front > 0) or abs(nose) > 0.05


@pytest.mark.parametrize(
    ("start", "end"), [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
)
def test_bones_are_as_long_on_the_left_as_on_the_right(bodies: list[Body], start: str, end: str) -> None:
    def lengths(side: str) -> np.ndarray:
        ends = [JOINTS.index(f"{side}_{joint}") for joint in (start, end)]
        return np.array([np.linalg.norm(np.diff(body.joints[ends], axis=0)) for body in bodies])

    np.testing.assert_allclose(lengths("left"), lengths("right"))
    assert 0.1 < lengths("left").mean() < 0.3  # of the stature


def test_faces_show_in_front_views_only(bodies: list[Body], rng: np.random.Generator) -> None:
    shown = {0: 0, 1: 0, 2: 0}
    for body in bodies:
        v, parts = Person(body, sample_appearance(rng)).own_visibility(("nose", "left_eye", "left_wrist"))
        assert v[2] == 2 and parts[0] == 1 << HEAD
        assert parts[2] == 1 << LIMB_PARTS["left_forearm"] | 1 << LIMB_PARTS["left_hand"]
        shown[int(v[0])] += 1
        if body.face_front > 0.5:
            assert v[0] == v[1] == 2
        if body.face_front < -0.8:
            assert v[0] == 0 and v[1] < 2
    assert min(shown.values()) > 10


def test_the_trunk_shows_the_near_shoulder_only(bodies: list[Body], rng: np.random.Generator) -> None:
    sides = 0
    for body in bodies:
        left, right = (
            Person(body, sample_appearance(rng)).own_visibility(("left_shoulder", "right_shoulder"))[1]
            >> TORSO
            & 1
        )
        nearer = body.depth["left_shoulder"] - body.depth["right_shoulder"]
        if left != right:
            assert left == (nearer > 0)
            sides += 1
    assert 30 < sides < 200


def test_keypoints_of_data_sets_are_joints_or_midpoints(rng: np.random.Generator) -> None:
    person = Person(sample_bodies(rng, 1)[0], sample_appearance(rng))
    person.place(100.0, 20 + 30j)
    nose, neck, hip = person.keypoints(("nose", "neck", "mid_hip"))
    points = person.body.points
    assert nose == points["nose"]
    assert neck == (points["left_shoulder"] + points["right_shoulder"]) / 2
    assert hip == (points["left_hip"] + points["right_hip"]) / 2
    first = complex(*person.body.joints[0, :2])
    assert points["pelvis"] == first * 100 + 20 + 30j


@pytest.mark.parametrize("name", SKELETONS)
def test_figures_are_drawn_within_their_box_around_their_keypoints(
    name: str, rng: np.random.Generator
) -> None:
    sampler = FigureSampler.of(Skeleton.from_config(skeleton_config(name)))
    for figure in sampler.sample(SMALL, rng, 10):
        scale = 150 / (figure.box[3] - figure.box[1])
        figure.place(scale, 60 + 20j - scale * complex(*figure.box[:2]))
        canvas = Canvas(np.zeros((240, 400, 3), np.uint8))
        figure.draw(canvas, 5)
        drawn = owner_mask(canvas.owners, 5) > 0
        assert (canvas.owners[~drawn] == 0).all() and canvas.image[~drawn].mean() < 5  # rims are smooth
        rows, columns = np.nonzero(drawn)
        right = 60 + scale * (figure.box[2] - figure.box[0])
        assert rows.min() > 5 and rows.max() < 185 and columns.min() > 45 and columns.max() < right + 15
        points = figure.keypoints(sampler.names)
        around = [
            drawn[round(p.imag) - 2 : round(p.imag) + 3, round(p.real) - 2 : round(p.real) + 3]
            for p in points
        ]
        assert np.mean([patch.any() for patch in around]) > 0.95


def test_a_creature_shows_its_keypoints_where_it_draws_them(rng: np.random.Generator) -> None:
    creature = Creature(make_rest_pose(SNAIL), rng)
    creature.place(60.0, 60.25 + 30.5j)
    canvas = Canvas(np.zeros((120, 120, 3), np.uint8))
    creature.draw(canvas, 2)
    v, parts = creature.own_visibility(SNAIL.keypoints)
    assert (v == 2).all() and parts.tolist() == [0b1111, 0b10, 0b100, 0b1000]
    tail = canvas.owners == (2 << 6) + 3
    y, x = np.nonzero(tail)  # a bone from the shell to the tail and the knob of the tail
    point = creature.keypoints(("tail",))[0]
    knob = abs(x + 1j * y - point) < 1.05 * creature.radius * creature.scale - 1
    assert abs((x[knob] + 1j * y[knob]).mean() - point) < 0.3


def test_a_skeleton_has_one_rest_pose_with_mirrored_limbs(rng: np.random.Generator) -> None:
    rest = make_rest_pose(SNAIL)
    np.testing.assert_array_equal(rest.angles, make_rest_pose(SNAIL).angles)
    angle = dict(zip(rest.children.tolist(), rest.angles.tolist(), strict=True))
    assert angle[1] == -angle[2] and angle[3] == 0
    assert set(rest.parents) == {0} and sorted(rest.children) == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:.*no limb.*")
def test_keypoints_that_no_limb_reaches_hang_on_the_root() -> None:
    limbs = [["top", "left_hand"], ["top", "right_hand"]]
    rest = make_rest_pose(Skeleton.from_config(skeleton_config("toy5"), limbs))
    assert sorted(rest.children.tolist()) == [1, 2, 3, 4]
    assert rest.parents.tolist() == [0, 0, 0, 0]


def test_a_skeleton_with_too_many_keypoints_is_refused() -> None:
    names = [f"k{n}" for n in range(MAX_PARTS)]
    config = {"name": "worm", "keypoints": names, "pairs": [], "sigmas": [0.05] * MAX_PARTS}
    limbs = [list(pair) for pair in pairwise(names)]
    with pytest.raises(PafposeError, match="worm has 64 keypoints; synthetic figures have at most 63"):
        make_rest_pose(Skeleton.from_config(config | {"default_limbs": "a", "limb_sets": {"a": limbs}}))
