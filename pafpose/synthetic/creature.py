"""Figures for skeletons that are no human body: coloured limbs in a pose made from the skeleton alone.

The same skeleton always gives the same creature. Left and right differ in colour, so that they can be told
apart from the front and from behind.
"""

from __future__ import annotations

import cmath
import colorsys
import zlib
from collections import deque
from dataclasses import dataclass

import numpy as np

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.synthetic.canvas import MAX_PARTS, Canvas, capsule, ellipse, owner_tag, shade
from pafpose.synthetic.figure import Figure


@dataclass(frozen=True)
class RestPose:
    """A spanning tree of the limbs, the root's bones first: B bones, and one colour per keypoint."""

    names: tuple[str, ...]
    colours: np.ndarray  # (K, 3) RGB
    parents: np.ndarray  # (B,) keypoints
    children: np.ndarray  # (B,) keypoints
    lengths: np.ndarray  # (B,)
    angles: np.ndarray  # (B,) radians from straight down


def make_rest_pose(skeleton: Skeleton) -> RestPose:
    """Return the rest pose of a skeleton; keypoints that no limb reaches hang on the root."""
    if skeleton.num_keypoints >= MAX_PARTS:
        raise PafposeError(
            f"skeleton {skeleton.name} has {skeleton.num_keypoints} keypoints; synthetic figures have "
            f"at most {MAX_PARTS - 1}"
        )
    rng = np.random.default_rng(zlib.crc32(" ".join(skeleton.keypoints).encode()))
    root, bones = _spanning_tree(skeleton)
    angle, length = _spread_bones(skeleton, root, bones, rng)
    children = [child for _, child in bones]
    return RestPose(
        names=skeleton.keypoints,
        colours=np.array(skeleton.colours if skeleton.pairs else _rainbow(skeleton.num_keypoints), float),
        parents=np.array([parent for parent, _ in bones], int),
        children=np.array(children, int),
        lengths=np.array([length[child] for child in children]),
        angles=np.array([angle[child] for child in children]),
    )


def _rainbow(count: int) -> list[tuple[float, ...]]:
    """Return colours that tell the parts apart where there is no left and right."""
    hues = ((n / count, 1.0 - 0.4 * (n % 2)) for n in range(count))
    return [tuple(255 * c for c in colorsys.hsv_to_rgb(hue, 0.85, value)) for hue, value in hues]


def _spanning_tree(skeleton: Skeleton) -> tuple[int, list[tuple[int, int]]]:
    """Return the busiest keypoint on the midline and, breadth first from it, (parent, child) bones."""
    k = skeleton.num_keypoints
    neighbours: list[list[int]] = [[] for _ in range(k)]
    for a, b in skeleton.limbs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    flip = skeleton.flip_keypoints
    root = max(range(k), key=lambda n: (flip[n] == n, len(neighbours[n]), -n))
    seen, queue = {root}, deque([root])
    bones: list[tuple[int, int]] = []
    while len(seen) < k:
        if queue:
            node = queue.popleft()
            found = sorted(set(neighbours[node]) - seen)
        else:  # what is left is not connected to the root: hang one of it there
            node, found = root, [min(set(range(k)) - seen)]
        bones += [(node, n) for n in found]
        seen.update(found)
        queue.extend(found)
    return root, bones


def _spread_bones(
    skeleton: Skeleton, root: int, bones: list[tuple[int, int]], rng: np.random.Generator
) -> tuple[dict[int, float], dict[int, float]]:
    """Return direction and length of the bone to each keypoint; mirror images get mirrored directions."""
    flip = skeleton.flip_keypoints
    parent_of = {child: parent for parent, child in bones}
    angle, length = {root: 0.0}, {root: 0.0}
    for parent in dict.fromkeys(parent for parent, _ in bones):
        children = [child for p, child in bones if p == parent]
        count = len(children)
        width = 2 * np.pi * (1 - 1 / count) if parent == root else min(2.4, 0.75 * (count - 1))
        for n, child in enumerate(_mirror_order(children, flip)):
            twin = flip[child]
            if twin != child and twin in angle and parent_of.get(twin) in (parent, flip[parent]):
                angle[child], length[child] = -angle[twin], length[twin]
                continue
            share = n / (count - 1) - 0.5 if count > 1 else 0.0
            wobble = 0.0 if twin == child and parent == root else (rng.random() - 0.5) * 0.5
            angle[child] = angle[parent] + width * share + wobble
            length[child] = 0.75 + 0.6 * rng.random()
    return angle, length


def _mirror_order(children: list[int], flip: tuple[int, ...]) -> list[int]:
    """Return the left ones, those on the midline, then the right ones in reverse: a symmetric fan."""
    left = [c for c in children if flip[c] in children and c < flip[c]]
    middle = [c for c in children if c not in left and c not in [flip[x] for x in left]]
    return [*left, *middle, *(flip[c] for c in reversed(left))]


class Creature(Figure):
    """A figure in a rest pose, with joint angles, bone lengths and a tint of its own."""

    def __init__(self, rest: RestPose, rng: np.random.Generator) -> None:
        self.rest = rest
        bones = len(rest.parents)
        angles = rest.angles + rng.normal(size=bones) * 0.22
        lengths = rest.lengths * np.exp(rng.normal(size=bones) * 0.12)
        steps = lengths * (np.sin(angles) + 1j * np.cos(angles))
        points = np.zeros(len(rest.names), complex)
        for parent, child, step in zip(rest.parents, rest.children, steps, strict=True):
            points[child] = points[parent] + step
        u = rng.random(8)
        if u[0] < 0.5:
            points = -points.conj()  # seen from behind
        points = points * cmath.rect(1, (u[1] - 0.5) * 0.9)
        self.colours = np.clip(rest.colours * (0.6 + 0.4 * u[2]) + (u[3:6] - 0.5) * 60, 10, 250)
        radius = 0.14 + 0.1 * float(u[6])
        height = float(np.ptp(points.imag)) + 2 * radius
        self.points, self.radius = points / height, radius / height  # a height of 1
        x, y, r = self.points.real, self.points.imag, self.radius
        self.box = np.array([x.min() - r, y.min() - r, x.max() + r, y.max() + r])

    def place(self, scale: float, offset: complex) -> None:
        """Put the creature into the picture: pixels = units * scale + offset."""
        self.scale, self.xy = float(scale), self.points * scale + offset

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the positions ``(K,)`` of keypoints, x + iy in pixels."""
        return self.xy[[self.rest.names.index(name) for name in names]]

    def own_visibility(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return v = 2 for all, and as bits the parts that show a keypoint: its knob and its bones."""
        parts = [1 << n for n in range(len(self.rest.names))]
        for parent, child in zip(self.rest.parents.tolist(), self.rest.children.tolist(), strict=True):
            parts[parent] |= 1 << child
        return np.full(len(names), 2), np.array([parts[self.rest.names.index(name)] for name in names])

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Draw each bone in the colour of its far end and a knob on each keypoint."""
        tag, r = owner_tag(owner), self.radius * self.scale
        a, b = self.xy[self.rest.parents, None], self.xy[self.rest.children, None]
        rims, lit = capsule(a, b, r, 0.75 * r), capsule(a, b, 0.6 * r, 0.45 * r)
        colours = [tuple(c) for c in self.colours.tolist()]
        for rim, core, child in zip(rims, lit, self.rest.children.tolist(), strict=True):
            canvas.fill(rim, shade(colours[child], 0.55), tag + child)
            canvas.fill(core, colours[child])
        for k, centre in enumerate(self.xy.tolist()):
            canvas.fill(ellipse(centre, 1.05 * r, 1.05 * r, corners=10), shade(colours[k], 0.5, 110), tag + k)
            canvas.fill(ellipse(centre, 0.5 * r, 0.5 * r, corners=8), shade(colours[k], 0.6))
