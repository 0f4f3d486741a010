"""The skeleton: the one place that decides the order of the channels of heatmaps and PAFs.

It is built by names from YAML. Heatmap channel ``k`` belongs to ``keypoints[k]``. Limb ``l`` has the PAF
channels ``2*l`` (x) and ``2*l + 1`` (y). The tables for flipping follow from the left/right pairs.
"""

from __future__ import annotations

import colorsys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pafpose.errors import PafposeError, shown
from pafpose.names import find_name, find_two, match_names, plain_name, read_name, read_names

Pair = tuple[str, str]
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Skeleton:
    """The keypoints, limbs, left/right pairs and OKS sigmas of one kind of body.

    Use :meth:`from_config`, which checks everything. The constructor takes channel numbers as they are.
    """

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    pairs: tuple[tuple[int, int], ...]
    derived: tuple[tuple[int, int, int], ...] = ()  # (keypoint, its two parents)
    limb_set: str = "explicit"
    colours: tuple[RGB, ...] = field(default=(), repr=False)
    aliases: tuple[tuple[str, int], ...] = field(default=(), repr=False)  # names that data sets use instead

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], limbs: str | Sequence[Sequence[str]] | None = None
    ) -> Skeleton:
        """Build a skeleton from the contents of a ``conf/skeleton/*.yaml``.

        ``limbs`` names one of its limb sets or lists pairs of keypoint names; None takes ``default_limbs``.
        Raises ``PafposeError`` on the first mistake, with its key and a remedy.
        """
        try:
            return _build(cls, config, limbs)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            if isinstance(error, PafposeError):
                raise
            name = shown(config.get("name") if isinstance(config, Mapping) else config)
            raise PafposeError(
                f"skeleton {name}: a value has another form than is needed ({str(error)[:200]}); see "
                "conf/skeleton/coco17.yaml"
            ) from error

    @property
    def num_keypoints(self) -> int:
        """K, the number of keypoints, derived ones included."""
        return len(self.keypoints)

    @property
    def num_limbs(self) -> int:
        """L, the number of limbs."""
        return len(self.limbs)

    @cached_property
    def scored(self) -> tuple[int, ...]:
        """Channels of the keypoints that are annotated and scored: all but the derived ones."""
        derived = {index for index, _, _ in self.derived}
        return tuple(k for k in range(self.num_keypoints) if k not in derived)

    @cached_property
    def limb_names(self) -> tuple[str, ...]:
        """The name of every limb: ``neck-nose``."""
        return tuple(f"{self.keypoints[a]}-{self.keypoints[b]}" for a, b in self.limbs)

    @cached_property
    def flip_keypoints(self) -> tuple[int, ...]:
        """For every heatmap channel, the channel that a flip puts there."""
        table = list(range(self.num_keypoints))
        for left, right in self.pairs:
            table[left], table[right] = right, left
        return tuple(table)

    @cached_property
    def flip_limbs(self) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """For every limb, the limb that a flip puts there, and whether that one runs the other way.

        Raises ``PafposeError`` if a limb has no mirror image among the limbs.
        """
        index = {limb: i for i, limb in enumerate(self.limbs)}
        source, backwards = [], []
        for limb in self.limbs:
            a, b = (self.flip_keypoints[k] for k in limb)
            if (a, b) in index:
                source.append(index[a, b])
                backwards.append(False)
            elif (b, a) in index:
                source.append(index[b, a])
                backwards.append(True)
            else:
                raise PafposeError(
                    f"paf.limbs: the limb {self._named(limb)} has no mirror image {self._named((a, b))}; "
                    "add it, or turn flipping off (augment.flip=0 evaluate.flip=false)"
                )
        return tuple(source), tuple(backwards)

    @cached_property
    def flip_pafs(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The permutation and the signs of the 2L PAF channels in a flip.

        With maps mirrored left to right, ``flipped[c] = sign[c] * mirrored[permutation[c]]``. The x of a
        vector changes its sign. If the mirror image of a limb runs the other way (left hip to right hip),
        y changes instead.
        """
        permutation: list[int] = []
        signs: list[float] = []
        for source, backwards in zip(*self.flip_limbs, strict=True):
            permutation += self.paf_channels(source)
            signs += [1.0, -1.0] if backwards else [-1.0, 1.0]
        return tuple(permutation), tuple(signs)

    def paf_channels(self, limb: int) -> tuple[int, int]:
        """Return the channels of the x and the y component of a limb."""
        return 2 * limb, 2 * limb + 1

    def index(self, name: str) -> int:
        """Return the channel of a keypoint. Raises ``PafposeError`` on an unknown name."""
        return find_name(name, self.keypoints, f"skeleton {self.name}")

    def derive(self, keypoints: np.ndarray) -> np.ndarray:
        """Return a copy of ``keypoints (..., K, 3)`` with the derived ones filled in.

        A derived keypoint is the midpoint of its parents. It is labelled if both are, with the smaller v.
        """
        out = np.array(keypoints, copy=True)
        for index, a, b in self.derived:
            first, second = out[..., a, :], out[..., b, :]
            both = (first[..., 2] > 0) & (second[..., 2] > 0)
            middle = np.concatenate(
                [(first[..., :2] + second[..., :2]) / 2, np.minimum(first[..., 2:], second[..., 2:])], -1
            )
            out[..., index, :] = np.where(both[..., None], middle, 0)
        return out

    def match(self, names: Sequence[str]) -> dict[int, int]:
        """Return, for every scored keypoint that is among a data set's ``names``, its position there.

        Upper and lower case, spaces, hyphens, dots and underscores do not matter. ``l`` and ``r``, first or
        last, mean left and right. The ``aliases`` of the YAML count.

        >>> import pafpose
        >>> pafpose.build_skeleton(pafpose.load_config()).match(["LeftEye", "nose", "tail", "ear_r"])
        {0: 1, 1: 0, 4: 3}
        """
        own = {self.keypoints[k]: k for k in self.scored}
        aliases = {name: k for name, k in self.aliases if k in self.scored}
        return match_names(own, names, aliases=aliases)

    def fits(self, names: Sequence[str]) -> bool:
        """Return whether at least half of the skeleton's, or of a data set's, keypoints match by name."""
        found = len(self.match(names))
        return found > 0 and 2 * found >= min(len(self.scored), len(set(names)))

    def misfit(self, names: Sequence[str]) -> str:
        """Return a sentence about a data set whose keypoints do not fit: both lists, and what to do."""
        found = self.match(names)
        count = f"only {len(found)}" if found else "none"
        own = [self.keypoints[k] for k in self.scored]
        return (
            f"skeleton {self.name}: the data set has {count} of its keypoints {own}; it names "
            f"{[str(name)[:40] for name in names]}. Choose a skeleton that fits (skeleton=...), or list the "
            "data set's names as aliases in the skeleton's yaml"
        )

    def from_dataset(self, keypoints: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return keypoints ``(..., K, 3)`` in the order of the skeleton, given ``(..., N, 3)`` of a data set.

        Names are compared as in :meth:`match`; missing keypoints get v = 0. Raises ``PafposeError`` if the
        names do not fit.
        """
        keypoints = np.asarray(keypoints)
        if not self.fits(names):
            raise PafposeError(self.misfit(names))
        known = self.match(names)
        out = np.zeros((*keypoints.shape[:-2], self.num_keypoints, 3), keypoints.dtype)
        out[..., list(known), :] = keypoints[..., list(known.values()), :]
        return self.derive(out)

    @cached_property
    def limb_colours(self) -> tuple[RGB, ...]:
        """The colour of every limb: the mean of the colours of its ends."""
        return tuple(
            tuple((p + q) // 2 for p, q in zip(self.colours[a], self.colours[b], strict=True))  # type: ignore[misc]
            for a, b in self.limbs
        )

    def _named(self, limb: tuple[int, int]) -> str:
        return f"[{self.keypoints[limb[0]]}, {self.keypoints[limb[1]]}]"


def _build(
    cls: type[Skeleton], config: Mapping[str, Any], limbs: str | Sequence[Sequence[str]] | None
) -> Skeleton:
    name = read_name(config.get("name", "unnamed"), "skeleton: name")
    where = f"skeleton {name}"
    scored = read_names(config.get("keypoints") or [], f"{where}: keypoints")
    if not scored:
        raise PafposeError(f"{where}: keypoints is empty; list the names in the order of your data set")
    derived_config = config.get("derived") or {}
    names = (*scored, *read_names(list(derived_config), f"{where}: derived", taken=scored))
    derived = tuple(
        (names.index(child), *find_two(parents, scored, f"{where}: derived.{child}"))
        for child, parents in derived_config.items()
    )
    pairs = _read_pairs(config.get("pairs") or [], names, where)
    _check_derived_flip(derived, pairs, names, where)
    sigmas = _read_sigmas(config.get("sigmas"), scored, derived, where)
    chosen = config.get("default_limbs") if limbs is None else limbs
    limb_set, limb_pairs = _choose_limbs(chosen, config.get("limb_sets") or {}, where)
    indices = _read_limbs(limb_pairs, names, limb_set)
    skeleton = cls(
        name=name,
        keypoints=names,
        limbs=indices,
        sigmas=sigmas,
        pairs=pairs,
        derived=derived,
        limb_set=limb_set,
        colours=_colours(names, pairs, config.get("colours") or {}, where),
        aliases=_read_aliases(config.get("aliases") or {}, names, where),
    )
    _check_coverage(skeleton)
    return skeleton


def _read_aliases(
    aliases: Mapping[str, Any], names: Sequence[str], where: str
) -> tuple[tuple[str, int], ...]:
    """Turn ``{own name: [other names]}`` into pairs (normalised other name, channel)."""
    result: dict[str, int] = {}
    own_names = {plain_name(name) for name in names}
    for own, others in aliases.items():
        k = find_name(own, names, f"{where}: aliases")
        for other in [others] if isinstance(others, str) else others:
            plain = plain_name(read_name(other, f"{where}: aliases.{own}"))
            if plain in own_names or plain in result:
                raise PafposeError(
                    f"{where}: aliases.{own}: {str(other)!r} already means a keypoint; use each name once"
                )
            result[plain] = k
    return tuple(result.items())


def _read_pairs(
    pairs: Sequence[Sequence[str]], names: Sequence[str], where: str
) -> tuple[tuple[int, int], ...]:
    used: dict[int, tuple[int, int]] = {}
    result = []
    for pair in pairs:
        a, b = find_two(pair, names, f"{where}: pairs")
        for k in (a, b):
            if k in used:
                raise PafposeError(
                    f"{where}: pairs: {names[k]!r} is in two pairs, so flipping twice would not restore the "
                    "picture; keep one of them"
                )
            used[k] = (a, b)
        result.append((a, b))
    return tuple(result)


def _check_derived_flip(
    derived: Sequence[tuple[int, ...]], pairs: Sequence[tuple[int, int]], names: Sequence[str], where: str
) -> None:
    flip = dict(pairs) | {b: a for a, b in pairs}
    parents = {index: {a, b} for index, a, b in derived}
    for index, own in parents.items():
        mirrored = {flip.get(k, k) for k in own}
        if parents.get(flip.get(index, index)) != mirrored:
            raise PafposeError(
                f"{where}: derived.{names[index]}: a flip turns its parents into "
                f"{sorted(names[k] for k in mirrored)}; derive it from a left/right pair, or derive another "
                "keypoint from those and list both in pairs"
            )


def _read_sigmas(
    sigmas: Any, scored: Sequence[str], derived: Sequence[tuple[int, ...]], where: str
) -> tuple[float, ...]:
    if isinstance(sigmas, Mapping):
        for name in sigmas:
            find_name(name, scored, f"{where}: sigmas")
        missing = [name for name in scored if name not in sigmas]
        if missing:
            raise PafposeError(f"{where}: sigmas: no OKS sigma for {missing}; every keypoint needs one")
        values = [float(sigmas[name]) for name in scored]
    else:
        values = [float(value) for value in sigmas or []]
        if len(values) != len(scored):
            raise PafposeError(
                f"{where}: sigmas has {len(values)} values for {len(scored)} keypoints; give one OKS sigma "
                "for each keypoint that is not derived (0.05 if you do not know it)"
            )
    if any(not value > 0 for value in values):
        raise PafposeError(f"{where}: sigmas must be above 0, got {values}")
    return (*values, *((values[a] + values[b]) / 2 for _, a, b in derived))


def _choose_limbs(
    chosen: str | Sequence[Sequence[str]] | None, sets: Mapping[str, Any], where: str
) -> tuple[str, Sequence[Sequence[str]]]:
    if chosen is None:
        raise PafposeError(f"{where}: default_limbs is missing; name one of {sorted(sets)}")
    if not isinstance(chosen, str):
        return "explicit", chosen
    if chosen not in sets:
        raise PafposeError(
            f"paf.limbs={chosen}: {where} has no such limb set; choose one of "
            f"{', '.join(sorted(sets))[:300]}, or give pairs of names: "
            "'paf.limbs=[[nose,neck],[neck,left_hip]]'"
        )
    return chosen, sets[chosen]


def _read_limbs(
    pairs: Sequence[Sequence[str]], names: Sequence[str], limb_set: str
) -> tuple[tuple[int, int], ...]:
    where = f"paf.limbs ({limb_set})"
    if not pairs:
        raise PafposeError(f"{where}: no limbs; give at least one pair of keypoint names")
    result: list[tuple[int, int]] = []
    for pair in pairs:
        limb = find_two(pair, names, where)
        if limb in result or limb[::-1] in result:
            raise PafposeError(f"{where}: the limb {list(pair)} is listed twice; remove one")
        result.append(limb)
    return tuple(result)


def _check_coverage(skeleton: Skeleton) -> None:
    """Refuse a named limb set that misses a keypoint or the mirror image of a limb.

    Limbs listed at ``paf.limbs`` may do both, for experiments: a missed keypoint is a warning, and a missing
    mirror image is an error only once something is flipped.
    """
    reached = {k for limb in skeleton.limbs for k in limb}
    missed = [name for k, name in enumerate(skeleton.keypoints) if k not in reached]
    message = (
        f"paf.limbs ({skeleton.limb_set}): no limb reaches {', '.join(missed)}; such keypoints can never be "
        "part of a person; add limbs to them"
    )
    if skeleton.limb_set == "explicit":
        if missed:
            warnings.warn(message, UserWarning, stacklevel=2)
        return
    if missed:
        raise PafposeError(message)
    _ = skeleton.flip_limbs  # raises if the mirror image of a limb is missing


def _colours(
    names: Sequence[str], pairs: Sequence[tuple[int, int]], given: Mapping[str, Any], where: str
) -> tuple[RGB, ...]:
    """Choose warm colours for the left, cool ones for the right, green for the middle, or those ``given``."""
    for name in given:
        find_name(name, names, f"{where}: colours")
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    middle = [k for k in range(len(names)) if k not in left and k not in right]
    table: dict[int, RGB] = {}
    for group, (start, stop) in ((left, (0.0, 0.14)), (right, (0.52, 0.72)), (middle, (0.26, 0.44))):
        for n, k in enumerate(group):
            hue = start + (stop - start) * (n / max(1, len(group) - 1))
            red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
            table[k] = (round(255 * red), round(255 * green), round(255 * blue))
    for name, (red, green, blue) in given.items():
        table[list(names).index(name)] = (int(red), int(green), int(blue))
    return tuple(table[k] for k in range(len(names)))
