"""Figures for skeletons that are no human body: coloured limbs around a rest layout made from the limbs.

The layout follows from the skeleton alone (same skeleton, same creature). Left and right differ in colour, so
that the two can be told apart from the front as from behind.
"""

from __future__ import annotations

import colorsys
import zlib
from dataclasses import dataclass

import numpy as np

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.synthetic.canvas import MAX_PARTS, Canvas, capsules, ellipse, owner_tag, shade


@dataclass(frozen=True)
class Layout:
    """A spanning tree of the limbs: per bone parent, child, length, rest angle; and one colour a keypoint."""

    parents: np.ndarray
    children: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray
    colours: np.ndarray
    root: int
    names: tuple[str, ...]


def make_layout(skeleton: Skeleton) -> Layout:
    """Rest layout of a skeleton; keypoints that no limb reaches hang on the root."""
    if skeleton.num_keypoints >= MAX_PARTS:
        raise PafposeError(
            f"skeleton {skeleton.name} has {skeleton.num_keypoints} keypoints; synthetic figures have "
            f"at most {MAX_PARTS - 1}"
        )
    rng = np.random.default_rng(zlib.crc32(" ".join(skeleton.keypoints).encode()))
    root, edges = _spanning_tree(skeleton)
    angle, length = _fan(skeleton, root, edges, rng)
    parents, children = (np.array([e[i] for e in edges], int) for i in (0, 1))
    return Layout(
        parents,
        children,
        np.array([length[c] for c in children]),
        np.array([angle[c] for c in children]),
        np.array(skeleton.colours if skeleton.pairs else _rainbow(skeleton.num_keypoints), float),
        root,
        skeleton.keypoints,
    )


def _rainbow(count: int) -> list[tuple[float, ...]]:
    """Colours that tell the parts apart where no left and right does."""
    hues = ((n / count, 1.0 - 0.4 * (n % 2)) for n in range(count))
    return [tuple(255 * c for c in colorsys.hsv_to_rgb(hue, 0.85, value)) for hue, value in hues]


def _spanning_tree(skeleton: Skeleton) -> tuple[int, list[tuple[int, int]]]:
    """Breadth first from the busiest keypoint on the midline, mirror images side by side."""
    k = skeleton.num_keypoints
    neighbours: list[list[int]] = [[] for _ in range(k)]
    for a, b in skeleton.limbs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    flip = skeleton.flip_keypoints
    root = max(range(k), key=lambda n: (flip[n] == n, len(neighbours[n]), -n))
    seen, queue, edges = {root}, [root], []
    while len(seen) < k:
        if not queue:  # another component: hang it on the root
            lost = next(n for n in range(k) if n not in seen)
            seen.add(lost)
            edges.append((root, lost))
            queue.append(lost)
        node = queue.pop(0)
        for n in sorted(neighbours[node]):
            if n not in seen:
                seen.add(n)
                edges.append((node, n))
                queue.append(n)
    return root, edges


def _fan(
    skeleton: Skeleton, root: int, edges: list[tuple[int, int]], rng: np.random.Generator
) -> tuple[dict[int, float], dict[int, float]]:
    """Directions and lengths of the bones; mirror keypoints get mirrored directions (angle from down)."""
    flip = skeleton.flip_keypoints
    angle, length = {root: 0.0}, {root: 0.0}
    parent_of = {c: p for p, c in edges}
    for parent in dict.fromkeys(p for p, _ in edges):
        children = [c for p, c in edges if p == parent]
        width = (
            2 * np.pi * (1 - 1 / len(children)) if parent == root else min(2.4, 0.75 * (len(children) - 1))
        )
        for n, child in enumerate(_mirror_order(children, flip)):
            twin = flip[child]
            if twin != child and twin in angle and parent_of.get(twin) in (parent, flip[parent]):
                angle[child], length[child] = -angle[twin], length[twin]
                continue
            share = n / (len(children) - 1) - 0.5 if len(children) > 1 else 0.0
            wobble = 0.0 if twin == child and parent == root else (rng.random() - 0.5) * 0.5
            angle[child] = angle[parent] + width * share + wobble
            length[child] = 0.75 + 0.6 * rng.random()
    return angle, length


def _mirror_order(children: list[int], flip: tuple[int, ...]) -> list[int]:
    """Left ones, midline ones, right ones outside in: so that a fan is symmetric."""
    left = [c for c in children if flip[c] in children and c < flip[c]]
    middle = [c for c in children if c not in left and c not in [flip[x] for x in left]]
    return [*left, *middle, *(flip[c] for c in reversed(left))]


class Creature:
    """One figure of a layout with its own joint angles, size of bones and tint."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self.layout = layout
        bones = len(layout.parents)
        self.points = np.zeros((len(layout.names), 2))
        angles = layout.angles + rng.normal(size=bones) * 0.22
        lengths = layout.lengths * np.exp(rng.normal(size=bones) * 0.12)
        steps = np.stack([np.sin(angles), np.cos(angles)], 1) * lengths[:, None]
        for parent, child, step in zip(layout.parents, layout.children, steps, strict=True):
            self.points[child] = self.points[parent] + step
        u = rng.random(8)
        if u[0] < 0.5:
            self.points[:, 0] *= -1  # seen from behind
        c, s = np.cos((u[1] - 0.5) * 0.9), np.sin((u[1] - 0.5) * 0.9)
        self.points = self.points @ np.array([[c, s], [-s, c]])
        self.colours = np.clip(layout.colours * (0.6 + 0.4 * u[2]) + (u[3:6] - 0.5) * 60, 10, 250)
        self.thick = 0.14 + 0.1 * u[6]
        low, high = self.points.min(0) - self.thick, self.points.max(0) + self.thick
        self.points /= max(high[1] - low[1], 1e-6)
        self.thick /= max(high[1] - low[1], 1e-6)
        self.box = np.concatenate([self.points.min(0) - self.thick, self.points.max(0) + self.thick])
        self.scale, self.xy = 1.0, self.points

    def place(self, scale: float, offset: np.ndarray) -> None:
        """Put it on the picture: pixels = units * scale + offset."""
        self.scale, self.xy = scale, self.points * scale + offset

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Pixel positions ``(n, 2)`` by name."""
        return self.xy[[self.layout.names.index(name) for name in names]]

    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Nothing hides itself: v = 2, on the keypoint's own knob or the bones beside it (bits)."""
        masks = [1 << n for n in range(len(self.layout.names))]
        for parent, child in zip(self.layout.parents.tolist(), self.layout.children.tolist(), strict=True):
            masks[parent] |= 1 << child
        return [2] * len(names), [masks[self.layout.names.index(name)] for name in names]

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Bones in the colour of their far end, a knob on each keypoint."""
        tag, r = owner_tag(owner), float(self.thick * self.scale)
        a, b = self.xy[self.layout.parents], self.xy[self.layout.children]
        full = np.full(len(a), r)
        rims, lit = capsules(a, b, full, 0.75 * full), capsules(a, b, 0.6 * full, 0.45 * full)
        colours = [tuple(c) for c in self.colours.tolist()]
        for rim, core, child in zip(rims, lit, self.layout.children.tolist(), strict=True):
            canvas.fill(rim, shade(colours[child], 0.55), tag + child)
            canvas.fill(core, colours[child])
        for k, centre in enumerate(self.xy.tolist()):
            canvas.fill(ellipse(centre, 1.05 * r, 1.05 * r, 0, 10), shade(colours[k], 0.5, 110), tag + k)
            canvas.fill(ellipse(centre, 0.5 * r, 0.5 * r, 0, 8), shade(colours[k], 0.6))
