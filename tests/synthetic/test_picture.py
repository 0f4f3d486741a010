"""Pictures: a function of seed, split and index; each key changes its own matter; nearer figures on top."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pafpose.skeleton import Skeleton
from pafpose.synthetic import picture as pictures
from pafpose.synthetic.arrange import arrange
from pafpose.synthetic.canvas import Canvas
from pafpose.synthetic.clutter import OBSTACLE, draw_clutter, draw_obstacle
from pafpose.synthetic.figure import Figure
from pafpose.synthetic.picture import FIRST_FIGURE, FigureSampler, Picture, draw_picture
from pafpose.synthetic.settings import SyntheticSettings
from tests.conftest import skeleton_config
from tests.synthetic.helpers import PLAIN, SMALL, SNAIL, draw_annotations, people_of


def draw(settings: SyntheticSettings, skeleton: Skeleton, index: int = 0, split: str = "train") -> Picture:
    return draw_picture(settings, FigureSampler.of(skeleton), split, index)


def test_seeds_splits_and_pictures_differ(coco18: Skeleton) -> None:
    seeds = (0, 1, 1 << 40)
    images = [draw(replace(SMALL, generator_seed=seed), coco18).image for seed in seeds]
    images += [draw(SMALL, coco18, 1).image, draw(SMALL, coco18, 0, "val").image]
    assert len({image.tobytes() for image in images}) == 5
    assert (draw(SMALL, coco18).image == images[0]).all()


def test_people_per_picture_as_configured(coco18: Skeleton) -> None:
    counts = [len(picture) for picture in draw_annotations(replace(PLAIN, people=(2, 3)), coco18, 60)]
    assert counts.count(2) > 15 and counts.count(3) > 15
    assert counts.count(2) + counts.count(3) >= 58  # one may be hidden
    assert draw_annotations(replace(PLAIN, people=(0, 0)), coco18, 3) == [[], [], []]


def test_noise_moves_annotations_and_no_pixels(coco18: Skeleton) -> None:
    plain, noisy = (draw(replace(SMALL, noise=noise), coco18, 4) for noise in (0.0, 1.0))
    assert (plain.image == noisy.image).all()
    moves = []
    for first, second in zip(plain.annotations, noisy.annotations, strict=True):
        a, b = (np.array(record["keypoints"]).reshape(-1, 3) for record in (first, second))
        assert (a[:, 2] == b[:, 2]).all()
        moves.append((b - a)[a[:, 2] > 0, :2] / first["area"] ** 0.5)
    assert np.abs(np.concatenate(moves)).max() > 0


def test_noise_is_as_large_as_the_sigmas(coco18: Skeleton) -> None:
    settings = replace(PLAIN, people=(1, 1), height=(0.8, 1.0))
    plain, noisy = (
        people_of(draw_annotations(replace(settings, noise=noise), coco18, 60)) for noise in (0.0, 2.0)
    )
    points = np.array([[record["keypoints"] for record in people] for people in (plain, noisy)])
    points = points.reshape(2, 60, 17, 3)
    root = np.array([record["area"] for record in plain]) ** 0.5
    shift = (points[1] - points[0])[..., :2] / root[:, None, None]
    sigmas = [coco18.sigmas[k] for k in coco18.scored]
    for k in (5, 9, 11, 15):  # shoulder, wrist, hip, ankle
        seen = points[0, :, k, 2] > 0
        assert shift[seen, k].std() == pytest.approx(2 * sigmas[k], rel=0.3)


def test_obstacles_and_clutter_leave_people_where_they_stand(coco18: Skeleton) -> None:
    calm = replace(PLAIN, people=(1, 1))
    busy = replace(calm, occlusion=1.0, clutter=9.0)
    for n in range(5):
        a, b = (np.array(draw(s, coco18, n).annotations[0]["keypoints"]).reshape(-1, 3) for s in (calm, busy))
        both = (a[:, 2] > 0) & (b[:, 2] > 0)
        assert both.any()
        np.testing.assert_array_equal(a[both, :2], b[both, :2])


def test_shares_of_hidden_unlabelled_and_crowds(coco18: Skeleton) -> None:
    settings = replace(PLAIN, people=(1, 1))

    def hidden(occlusion: float) -> float:
        people = people_of(draw_annotations(replace(settings, occlusion=occlusion), coco18, 40))
        v = np.array([record["keypoints"][2::3] for record in people])
        return float((v == 1).sum() / (v > 0).sum())

    assert hidden(1.0) > hidden(0.0) + 0.05
    unlabelled = people_of(draw_annotations(replace(settings, unlabelled=1.0), coco18, 10))
    assert len(unlabelled) == 10
    assert all(not any(record["keypoints"]) and record["area"] > 0 for record in unlabelled)
    crowds = [[a["iscrowd"] for a in p] for p in draw_annotations(replace(settings, crowd=1.0), coco18, 10)]
    assert sum(1 in flags for flags in crowds) >= 9
    assert not any(a["iscrowd"] for p in draw_annotations(settings, coco18, 10) for a in p)


def test_owner_numbers_of_many_people_and_of_the_crowd_stay_apart(coco18: Skeleton) -> None:
    settings = replace(PLAIN, people=(70, 70), height=(0.05, 0.06), crowd=1.0, overlap=0)
    for picture in draw_annotations(settings, coco18, 3):
        assert max(record["area"] for record in people_of([picture])) < 96 * 96 * 0.06**2 * 2


class Recorder(Figure):
    """A figure that notes when it is drawn."""

    def __init__(self, drawn: list[int], number: int) -> None:
        self.drawn, self.number = drawn, number
        self.box = np.array([0.0, 0.0, 0.5, 1.0])

    def place(self, scale: float, offset: complex) -> None:
        self.feet = offset.imag + scale

    def draw(self, canvas: Canvas, owner: int) -> None:
        assert owner == FIRST_FIGURE + self.number
        self.drawn.append(self.number)

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        return np.zeros(len(names), complex)

    def own_visibility(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(names), 2), np.ones(len(names), int)


def test_who_stands_lower_is_drawn_later(coco18: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    figures: list[Recorder] = []

    def sample(self, settings, rng, count, *, detail=True):
        figures[:] = [Recorder(drawn, n) for n in range(count)]
        return figures

    monkeypatch.setattr(FigureSampler, "sample", sample)
    for index in range(5):
        drawn.clear()
        draw(replace(PLAIN, people=(6, 6), height=(0.3, 0.6)), coco18, index)
        assert drawn == sorted(range(6), key=lambda n: figures[n].feet)


def test_an_obstacle_comes_right_after_its_figure(coco18: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[np.ndarray] = []
    calls: list[np.ndarray] = []
    monkeypatch.setattr(pictures, "arrange", lambda *args: boxes.append(arrange(*args)) or boxes[-1])
    monkeypatch.setattr(pictures, "draw_obstacle", lambda canvas, rng, box: calls.append(box))
    draw(replace(PLAIN, people=(4, 4), occlusion=1.0), coco18)
    feet = boxes[0][:, 1] + boxes[0][:, 3]
    np.testing.assert_array_equal(calls, boxes[0][np.argsort(feet)])


def test_obstacles_hide_a_part_of_their_box_and_clutter_owns_nothing() -> None:
    rng = np.random.default_rng(0)
    canvas = Canvas(np.zeros((200, 200, 3), np.uint8))
    draw_clutter(canvas, rng, 20)
    assert canvas.image.any() and not canvas.owners.any()
    for _ in range(40):
        canvas.owners[:] = 0
        draw_obstacle(canvas, rng, np.array([60.0, 40.0, 50.0, 120.0]))
        hidden = canvas.owners == OBSTACLE
        assert hidden.sum() == (canvas.owners > 0).sum()
        assert 0 < hidden[40:160, 60:110].mean() < 0.8


@pytest.mark.parametrize("name", ["coco18", "hand21", "animal17", "toy5"])
def test_every_keypoint_is_labelled_somewhere(name: str) -> None:
    skeleton = Skeleton.from_config(skeleton_config(name))
    people = people_of(draw_annotations(replace(SMALL, people=(1, 2)), skeleton, 12))
    v = np.array([record["keypoints"][2::3] for record in people])
    assert v.shape[1] == len(skeleton.scored)
    assert ((v > 0).sum(0) > 0).all()


def test_a_made_up_animal_keeps_its_parts_apart() -> None:
    pictures = draw_annotations(replace(PLAIN, people=(1, 1)), SNAIL, 10)
    points = np.array([picture[0]["keypoints"] for picture in pictures]).reshape(10, 4, 3)
    assert (points[..., 2] > 0).mean() > 0.95
    horns = np.linalg.norm(points[:, 1, :2] - points[:, 2, :2], axis=-1)
    assert np.median(horns) > 5
