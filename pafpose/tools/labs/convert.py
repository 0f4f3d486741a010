"""Write labels of other tools as photos, a COCO json, a skeleton and a data config that trains on them."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from omegaconf import DictConfig

from pafpose.config import conf_dir
from pafpose.data.photo_file import PhotoLimits, read_bytes, read_header
from pafpose.errors import PafposeError
from pafpose.runtime.files import write_json, write_whole, write_whole_folder
from pafpose.runtime.invocation import spell
from pafpose.tools.labs.labels import (
    find_file,
    is_embedded,
    labelled_frames,
    read_labels,
    sleap_io,
    the_skeleton,
)
from pafpose.tools.labs.skeleton import joining_limbs, skeleton_config

log = logging.getLogger(__name__)

MARGIN = 0.1  # of the diagonal of an animal's keypoints, by which its box is larger on every side


class Source(NamedTuple):
    """Labels, and which files beside them may be read."""

    path: Path
    folders: list[Path]
    allow_outside: bool
    max_pixels: int


def convert_labels(cfg: DictConfig) -> Path:
    """Convert ``cfg.labels``; return the folder: images/, annotations.json, skeleton/, data/ and recipe/."""
    path = Path(str(cfg.labels)).expanduser()
    output = Path(str(cfg.output or Path(cfg.paths.output_dir, "labels"))).expanduser().absolute()
    if output.exists():
        raise PafposeError(f"output={output}: exists already; name a new folder, or delete it")
    folders = [path.absolute().parent]
    if cfg.videos:
        folders.insert(0, Path(str(cfg.videos)).expanduser().absolute())
    source = Source(path, folders, bool(cfg.allow_outside), int(cfg.max_pixels))
    labels = read_labels(path)
    frames = labelled_frames(labels, path)
    node = the_skeleton(frames, path)
    animals = np.array([animal.numpy()[:, :2] for _, group in frames for animal in group], float)
    name = free_name(path)
    edges, pairs = _indices(node.edge_inds), _indices(node.symmetry_inds)
    config = skeleton_config(name, node.node_names, edges, pairs, animals)
    output.parent.mkdir(parents=True, exist_ok=True)
    with write_whole_folder(output) as folder:
        content: dict[str, Any] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": name, "keypoints": node.node_names}],
        }
        for photo, group in write_photos(folder / "images", labels, frames, source):
            content["images"].append({"id": len(content["images"]) + 1, **photo})
            for animal in group:
                person = annotation(animal.numpy()[:, :2], photo["height"], photo["width"])
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": len(content["images"]),
                        "category_id": 1,
                        **person,
                    }
                )
        write_json(folder / "annotations.json", content)
        _write_configs(folder, output, name, config)
    log.info("labels       %d photos, %d animals", len(frames), len(animals))
    _log_skeleton(config, edges, pairs, animals, output / "skeleton" / f"{name}.yaml")
    log.info("train        %s --config-dir %s data=%s", spell("train"), shlex.quote(str(output)), name)
    return output


def free_name(path: Path) -> str:
    """Return a name for data and skeleton, from that of the file, which pafpose's own configs do not have."""
    name = re.sub(r"\W+", "_", path.name.partition(".")[0].lower(), flags=re.ASCII).strip("_") or "labels"
    own = {file.stem for group in ("data", "skeleton", "recipe") for file in (conf_dir() / group).iterdir()}
    return f"{name}_labels" if name in own else name


def annotation(points: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Return an animal in COCO's form from keypoints ``(K, 2)`` in pixel centres, NaN where not labelled.

    The box is that of the keypoints, 0.1 of its diagonal larger on every side and cut at the photo's edge;
    two keypoints on a line would have a box without an area.
    """
    there = np.isfinite(points).all(1)
    rows = np.where(there[:, None], np.c_[points, np.full(len(points), 2.0)], 0)
    low, high = points[there].min(0) + 0.5, points[there].max(0) + 0.5  # COCO's boxes count from the corner
    margin = max(MARGIN * float(np.hypot(*(high - low))), 0.5)
    low, high = np.clip(low - margin, 0, [width, height]), np.clip(high + margin, 0, [width, height])
    box = [*low.tolist(), *(high - low).tolist()]
    return {
        "keypoints": rows.ravel().tolist(),
        "num_keypoints": int(there.sum()),
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def write_photos(
    folder: Path, labels: Any, frames: Sequence[tuple[Any, list[Any]]], source: Source
) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Write the picture of each frame; yield it as COCO's json lists it, with its animals."""
    numbers = {id(video): n for n, video in enumerate(labels.videos, 1)}
    opened: dict[int, Any] = {}
    for frame, group in frames:
        number = numbers[id(frame.video)]
        part = f"{number:03d}/{int(frame.frame_idx):06d}"
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(frame.video.filename, list):
            photo = _copy_photo(folder, part, frame.video.filename[frame.frame_idx], source)
        else:
            if number not in opened:
                opened = {number: _open(frame.video, source)}  # one file at a time
            photo = _write_frame(folder, part, opened[number], int(frame.frame_idx), source)
        yield photo | {"video_id": number}, group


def _copy_photo(folder: Path, part: str, name: str, source: Source) -> dict[str, Any]:
    file = find_file(name, source.path, source.folders, allow_outside=source.allow_outside)
    limits = PhotoLimits(source.max_pixels)
    data = read_bytes(file, limits)
    height, width = read_header(file, limits, data=data).upright_size
    target = f"{part}{file.suffix.lower()}"
    with write_whole(folder / target) as out:
        out.write(data.tobytes())
    return {"file_name": target, "height": height, "width": width, "upright": True}


def _open(video: Any, source: Source) -> Any:
    try:
        if is_embedded(video, source.path):
            video.open()
            return video
        found = find_file(video.filename, source.path, source.folders, allow_outside=source.allow_outside)
        return sleap_io(source.path).load_video(str(found))
    except PafposeError:
        raise
    except Exception as error:
        raise PafposeError(
            f"labels={source.path}: its video {video.filename} cannot be opened ({error}); copy it again, or "
            "convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        ) from error


def _write_frame(folder: Path, part: str, video: Any, index: int, source: Source) -> dict[str, Any]:
    try:
        picture = np.asarray(video[index])
    except Exception as error:
        raise PafposeError(
            f"labels={source.path}: frame {index} of {video.filename} cannot be read ({error}); the video is "
            "damaged or another one of that name"
        ) from error
    height, width = picture.shape[:2]
    if height * width > source.max_pixels:
        raise PafposeError(
            f"{video.filename}: {width} x {height} pixels, more than max_pixels={source.max_pixels}; raise it"
        )
    picture = picture[..., ::-1] if picture.shape[2] == 3 else picture[..., 0]
    with write_whole(folder / f"{part}.png") as out:
        out.write(cv2.imencode(".png", picture)[1].tobytes())
    return {"file_name": f"{part}.png", "height": height, "width": width}


def _write_configs(folder: Path, output: Path, name: str, skeleton: dict[str, Any]) -> None:
    data = {
        "defaults": ["coco", "_self_"],
        "name": name,
        "root": str(output),
        "train_images": "images",
        "train_annotations": "annotations.json",
        "val_images": "images",
        "val_annotations": None,
    }
    recipe = (
        f"# @package _global_\ndefaults:\n- photos\n- /skeleton: {name}\n- _self_\n"
        "mask:  # train on small animals and on those with few labels, too\n"
        "  min_keypoints: 2\n  min_area: 0\n"
    )
    text = {
        "skeleton": f"# From {name}'s labels: edit limbs, pairs and sigmas (docs/skeletons.md).\n"
        + yaml.safe_dump(skeleton, sort_keys=False, default_flow_style=None),
        "data": yaml.safe_dump(data, sort_keys=False),
        "recipe": recipe,
    }
    for group, content in text.items():
        (folder / group).mkdir()
        with write_whole(folder / group / f"{name}.yaml") as file:
            file.write(content.encode("utf-8"))


def _log_skeleton(
    config: dict[str, Any],
    edges: Sequence[tuple[int, int]],
    pairs: Sequence[Any],
    animals: np.ndarray,
    path: Path,
) -> None:
    """Say what the labels did not, so that the user looks at it."""
    if joining_limbs(edges, animals):
        log.warning("the edges of the labels do not join all keypoints; the shortest limbs were added")
    if not pairs:
        log.warning(
            "the labels name no symmetries; left/right pairs by name: %s. A flip leaves the others alone",
            config["pairs"] or "none",
        )
    log.info("skeleton     %s: look at limbs, pairs and sigmas before you train", path)


def _indices(pairs: Any) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in (sorted(pair) if isinstance(pair, set) else pair for pair in pairs)]
