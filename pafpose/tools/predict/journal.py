"""The people of every photo and frame, one line of json each, written as they are found.

An interrupted command leaves a journal and goes on from it. At the end, COCO json and CSV are made from it
line by line, so that memory does not grow with the number of frames.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pafpose.errors import PafposeError
from pafpose.inference.people import People
from pafpose.inference.predictor import Frame
from pafpose.runtime.files import write_whole
from pafpose.skeleton import Skeleton

Line = dict[str, Any]
_GAP = ",\n"


class Journal:
    """Append to a journal; what was complete in an earlier one of the same command stays.

    ``command`` is a fingerprint of all that the predictions depend on.
    """

    def __init__(self, path: Path, command: str) -> None:
        self.path = path
        self.done: dict[str, str | None] = {}  # photos and videos that are complete, and their faults
        self._take_over(path, command)
        self._file = path.open("a", encoding="utf-8")

    def _take_over(self, path: Path, command: str) -> None:
        """Keep the lines of complete photos and videos of an earlier journal, if there is one."""
        lines = read_lines(path)
        first = next(lines, None)
        if first is not None and first.get("command") != command:
            raise PafposeError(
                f"{path} holds the people that another command, or another checkpoint, found; choose another "
                "hydra.run.dir, or delete them with overwrite=true"
            )
        self.done = {line["done"]: line["fault"] for line in lines if "done" in line}
        with write_whole(path) as file:
            _write(file, {"command": command})
            for line in read_lines(path):
                if line.get("done", line.get("file_name")) in self.done:
                    _write(file, line)

    def add(self, frame: Frame, people: People, *, overlay: str | None, video: bool) -> None:
        """Add the people of a photo or of a frame of a video."""
        height, width = frame.image.shape[:2]
        line: Line = {"file_name": frame.source, "width": width, "height": height}
        if video:
            line |= {"frame": frame.number, "seconds": round(frame.seconds or 0.0, 6)}
        self._append(line | {"overlay": overlay, "people": people.to_coco()})

    def finish(self, name: str, *, fault: str | None = None) -> None:
        """Note that a photo or video is complete, or as far as its ``fault`` allows."""
        self.done[name] = fault
        self._append({"done": name, "fault": fault})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, line: Line) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _write(file: Any, line: Line) -> None:
    file.write((json.dumps(line) + "\n").encode())


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal; the last one, if a kill or a full disk cut it, is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                return
            if not isinstance(line, dict):
                return
            yield line


def frames_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal that describe frames."""
    return (line for line in read_lines(path) if "people" in line)


@contextmanager
def _whole_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a text file that is whole or absent."""
    with write_whole(path) as binary:
        file = io.TextIOWrapper(binary, "utf-8", newline="")
        yield file
        file.detach()  # ``write_whole`` closes what is beneath


def write_coco(journal: Path, path: Path, skeleton: Skeleton, left_out: Sequence[Mapping[str, str]]) -> None:
    """Write a journal as a COCO file; each frame of a video is an image, and ``left_out`` is a list of ours.

    Ids count from 1. Keypoints are COCO's x, y, and the confidence in place of v.
    """
    with _whole_text(path) as file:
        file.write('{"images": [\n')
        _write_list(file, map(json.dumps, _images(journal)))
        file.write('],\n"annotations": [\n')
        _write_list(file, map(json.dumps, _annotations(journal)))
        file.write(f'],\n"categories": [{json.dumps(category(skeleton))}],\n"left_out": [\n')
        _write_list(file, map(json.dumps, left_out))
        file.write("]}\n")


def _write_list(file: io.TextIOWrapper, texts: Iterable[str]) -> None:
    for n, text in enumerate(texts):
        file.write(f"{_GAP if n else ''}{text}")
    file.write("\n")


def _images(journal: Path) -> Iterator[Line]:
    for number, line in enumerate(frames_of(journal), start=1):
        yield {"id": number, **{key: value for key, value in line.items() if key != "people"}}


def _annotations(journal: Path) -> Iterator[Line]:
    count = 0
    for number, line in enumerate(frames_of(journal), start=1):
        for person in line["people"]:
            count += 1
            yield person | {"id": count, "image_id": number}


def category(skeleton: Skeleton) -> Line:
    """Return COCO's description of the skeleton; limbs join scored keypoints, counted from 1."""
    place = {k: n for n, k in enumerate(skeleton.scored, start=1)}
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": [skeleton.keypoints[k] for k in skeleton.scored],
        "skeleton": [[place[a], place[b]] for a, b in skeleton.limbs if a in place and b in place],
    }


def write_csv(journal: Path, path: Path, skeleton: Skeleton) -> None:
    """Write a journal as a table with a row for each person of each frame.

    ``person`` counts from 1 in each frame, best score first; ``track_id`` follows a person through a video.
    The box is x, y, width, height in pixels.
    Keypoints that were not found are empty.
    """
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    head = ["file_name", "frame", "seconds", "person", "track_id", "score", "x", "y", "width", "height"]
    head += [f"{name}_{part}" for name in names for part in ("x", "y", "confidence")]
    with _whole_text(path) as file:
        table = csv.writer(file)
        table.writerow(head)
        for line in frames_of(journal):
            for number, person in enumerate(line["people"], start=1):
                table.writerow(_row(line, number, person))


def _row(line: Line, number: int, person: Line) -> list[Any]:
    points = person["keypoints"]
    found = [points[n // 3 * 3 + 2] > 0 for n in range(len(points))]
    return [
        line["file_name"], line.get("frame"), line.get("seconds"), number, person.get("track_id"),
        round(person["score"], 4), *person["bbox"],
        *(value if there else None for value, there in zip(points, found, strict=True)),
    ]  # fmt: skip
