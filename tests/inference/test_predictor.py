"""The predictor: the same people for a photo alone, in a batch, in a stream, with any number of threads."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

import pafpose
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.inference.batches import in_batches, in_order
from pafpose.inference.people import People
from pafpose.inference.predictor import Frame, Predictor
from tests.known_people import PEOPLE, SIZES, known_config, known_network, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    root = write_photos(tmp_path_factory.mktemp("photos"))
    return {number: root / "val2017" / f"{number:012d}.png" for number in SIZES}


@pytest.fixture(scope="module")
def predictor(photos: dict[int, Path]) -> Predictor:
    return Predictor(known_network(known_config(photos[101].parents[1])))


def same(a: People, b: People) -> bool:
    return torch.equal(a.keypoints, b.keypoints) and torch.equal(a.scores, b.scores)


def test_every_form_of_a_photo_gives_the_same_people(predictor: Predictor, photos: dict[int, Path]) -> None:
    image = load_image(photos[101])
    expected = predictor(photos[101])
    assert len(expected) == 2
    for people in (
        predictor(str(photos[101])), predictor(photos[101].read_bytes()), predictor(image),
        predictor(image[..., ::-1], bgr=True),
    ):  # fmt: skip
        assert same(people, expected)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_stream_keeps_the_order(predictor: Predictor, photos: dict[int, Path], size: int) -> None:
    order = [101, 102, 101, 103, 103, 101, 102, 101, 101, 103] * 2
    network = predictor.trained.network
    network.inputs.clear()
    found = list(predictor.stream((photos[number] for number in order), batch_size=size))
    batches = [shape[0] for shape, _ in network.inputs]
    assert max(batches) == min(size, 10) and sum(batches) == len(order)
    alone = {number: predictor(path) for number, path in photos.items()}
    assert all(same(people, alone[number]) for people, number in zip(found, order, strict=True))


def test_a_stream_takes_few_photos_ahead(predictor: Predictor, photos: dict[int, Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        yield photos[103]
        while True:
            taken += 1
            yield photos[101]

    stream = predictor.stream(endless(), batch_size=4)
    for n in range(40):
        next(stream)
        assert taken - n <= 12
    assert taken >= 39
    fast = predictor.stream(endless(), batch_size=1)
    taken = 0
    assert len(next(fast)) == 0 and taken == 0  # answers each photo before the next one is there


def test_nobody_in_a_photo(predictor: Predictor, photos: dict[int, Path]) -> None:
    people = predictor(photos[103])
    assert people.keypoints.shape == (0, 18, 3) and people.scores.shape == (0,)
    assert len(people) == 0 and people.to_coco() == [] and repr(people) == "People(0)"
    assert (people.draw(photos[103]) == load_image(photos[103])).all()
    assert not list(predictor.stream([]))


def test_people_know_their_names(predictor: Predictor, photos: dict[int, Path]) -> None:
    people = predictor(photos[101])
    assert len(people.names) == people.keypoints.shape[1] == 18
    assert people.names[people.skeleton.scored[0]] == "nose"
    assert repr(people) == f"People(2: scores {people.scores[0]:.2f} {people.scores[1]:.2f})"
    assert ((people.scores > 0) & (people.scores <= 1)).all() and people.scores[0] >= people.scores[1]
    assert len(people.at_least(float(people.scores[0]))) == 1 and len(people.at_least(0)) == 2
    with pytest.raises(PafposeError, match="lowest score of 2"):
        people.at_least(2)
    many = People(torch.zeros(20, 18, 3), torch.full((20,), 0.5), people.skeleton)
    assert len(repr(many)) < 80 and repr(many).startswith("People(20: scores 0.50")


def test_coco_results(predictor: Predictor, photos: dict[int, Path]) -> None:
    results = predictor(photos[101]).to_coco(image_id=7)
    assert [person["image_id"] for person in results] == [7, 7]
    xy = np.array(results[0]["keypoints"]).reshape(17, 3)[:, :2]
    assert min(np.abs(xy - truth).mean() for truth in PEOPLE[101]) < 1
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": 7}], "categories": [{"id": 1}], "annotations": [], "info": {}}
        coco.createIndex()
        assert len(coco.loadRes(results).anns) == 2
    nothing = People(torch.zeros(1, 18, 3), torch.zeros(1), predictor.skeleton).to_coco()
    assert nothing[0]["bbox"] == [0, 0, 0, 0] and nothing[0]["num_keypoints"] == 0


def test_people_are_drawn_in_the_order_of_colours_of_the_photo(
    predictor: Predictor, photos: dict[int, Path]
) -> None:
    people, image = predictor(photos[101]), load_image(photos[101])
    drawn = people.draw(image)
    assert drawn.shape == image.shape and (drawn != image).any() and (people.draw(photos[101]) == drawn).all()
    assert (people.draw(image[..., ::-1], bgr=True)[..., ::-1] == drawn).all()


def test_a_bad_photo_in_a_stream_is_an_error(predictor: Predictor, photos: dict[int, Path]) -> None:
    with pytest.raises(PafposeError, match="None"):
        list(predictor.stream([photos[101], None]))  # type: ignore[list-item]
    with pytest.raises(PafposeError, match="batch_size=0"):
        list(predictor.stream([photos[101]], batch_size=0))


def test_a_network_sees_the_same_alone_and_in_a_batch(checkpoint: Path, rng: np.random.Generator) -> None:
    """Its fields are equal to the last bit on a CPU, and with them what is decoded."""
    predictor = pafpose.load(checkpoint, device="cpu")
    frames = [Frame(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)) for _ in range(5)]
    alone = [next(predictor.find([frame], keep_fields=True)).fields for frame in frames]
    for size in (2, 3, 5):
        together = predictor.find(frames, batch_size=size, keep_fields=True)
        for one, found in zip(alone, together, strict=True):
            assert one is not None and found.fields is not None
            assert all(torch.equal(a, b) for a, b in zip(one, found.fields, strict=True))


def test_the_number_of_threads_changes_at_most_rounding(checkpoint: Path, rng: np.random.Generator) -> None:
    """torch may then choose another way to compute a convolution."""
    predictor = pafpose.load(checkpoint, device="cpu")
    image = torch.from_numpy(rng.integers(0, 256, (1, 3, 64, 96), dtype=np.uint8))
    threads, fields = torch.get_num_threads(), {}
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            fields[count] = predictor.trained.predict_fields(image)
    finally:
        torch.set_num_threads(threads)
    for count in (2, 3):
        for one, other in zip(fields[1], fields[count], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_batches_hold_few_items_and_lose_none(rng: np.random.Generator) -> None:
    items = list(enumerate(rng.choice(list("aaaaabbc"), 300)))
    for size in (1, 2, 7):
        taken = iter(items)
        batches = list(in_batches(taken, size, key=lambda item: item[1]))
        assert all(len({kind for _, kind in batch}) == 1 and len(batch) <= size for _, batch in batches)
        assert list(in_order(batches)) == items
        latest = np.maximum.accumulate([max(numbers) for numbers, _ in batches])
        assert all(now - min(numbers) <= 3 * size for now, (numbers, _) in zip(latest, batches, strict=True))
