"""Which channels of two networks' fields are the same, by the names of keypoints and limbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from pafpose.models.field_channels import INPUT, FieldChannels
from pafpose.names import match_names
from pafpose.skeleton import Skeleton

Entry = tuple[int, int, float]  # a channel of the new tensor, one of the old, and the factor between them


@dataclass(frozen=True)
class FieldMatch:
    """The channels that two networks share in one field: new channel -> (old channel, sign)."""

    channels: dict[int, tuple[int, float]]
    new_size: int
    old_size: int


def match_keypoints(new: Skeleton, old: Skeleton) -> dict[int, int]:
    """Return, for every keypoint of ``new`` whose name ``old`` has, its number there.

    Names are compared as those of data sets are (:meth:`Skeleton.match`); derived keypoints count.
    """
    own = {name: k for k, name in enumerate(new.keypoints)}
    return match_names(own, old.keypoints, aliases=dict(new.aliases))


def match_limbs(new: Skeleton, old: Skeleton) -> dict[int, tuple[int, float]]:
    """Return, for every limb of ``new`` that joins the same keypoints in ``old``, its number and sign there.

    The sign is -1 where the limb runs the other way: its vectors are then the negatives of the old ones.
    """
    keypoints = match_keypoints(new, old)
    number = {limb: n for n, limb in enumerate(old.limbs)}
    found = {}
    for n, (a, b) in enumerate(new.limbs):
        limb = keypoints.get(a, -1), keypoints.get(b, -1)
        for ends, sign in ((limb, 1.0), (limb[::-1], -1.0)):
            if ends in number:
                found[n] = number[ends], sign
    return found


def match_fields(
    new: Skeleton, old: Skeleton, *, new_background: bool, old_background: bool
) -> dict[str, FieldMatch]:
    """Return what two networks share, by field. A background, the last heatmap channel, matches another."""
    heatmaps = {k: (other, 1.0) for k, other in match_keypoints(new, old).items()}
    if new_background and old_background:
        heatmaps[new.num_keypoints] = (old.num_keypoints, 1.0)
    pafs = {
        new.paf_channels(n)[xy]: (old.paf_channels(other)[xy], sign)
        for n, (other, sign) in match_limbs(new, old).items()
        for xy in (0, 1)
    }
    return {
        "heatmaps": FieldMatch(
            heatmaps, new.num_keypoints + new_background, old.num_keypoints + old_background
        ),
        "pafs": FieldMatch(pafs, 2 * new.num_limbs, 2 * old.num_limbs),
    }


def move_channels(
    new: Tensor,
    old: Tensor,
    new_runs: list[FieldChannels],
    old_runs: list[FieldChannels],
    matches: dict[str, FieldMatch],
) -> Tensor | None:
    """Return the tensor ``new`` with all values that ``old`` has for it; None if the two do not fit.

    ``new_runs`` and ``old_runs`` are what the heads say about the two. Channels of fields come from their
    counterparts, all others in order; where the fields have no counterpart, ``new`` keeps its values.
    """
    if not new_runs or not old_runs:
        return old if new.shape == old.shape and not new_runs and not old_runs else None
    axis = new_runs[0].axis
    others = [size for n, size in enumerate(new.shape) if n != axis]
    if [run.field for run in new_runs] != [run.field for run in old_runs] or axis != old_runs[0].axis:
        return None
    if others != [size for n, size in enumerate(old.shape) if n != axis]:
        return None
    entries = [
        entry
        for new_run, old_run in zip(new_runs, old_runs, strict=True)
        for entry in _entries(new_run, old_run, matches[new_run.field])
    ]
    new_rest = _rest(new.shape[axis], [(run, matches[run.field].new_size) for run in new_runs])
    old_rest = _rest(old.shape[axis], [(run, matches[run.field].old_size) for run in old_runs])
    if len(new_rest) != len(old_rest):
        return None
    entries += [(n, o, 1.0) for n, o in zip(new_rest, old_rest, strict=True)]
    return _filled(new, old, axis, entries) if entries else None


def _entries(new: FieldChannels, old: FieldChannels, match: FieldMatch) -> Iterator[Entry]:
    """Yield the entries of one field. Where the cells of a channel differ in number, all get their mean."""
    same = new.cells == old.cells
    share = 1 if same else new.cells if new.axis == INPUT else old.cells
    for channel, (other, sign) in match.channels.items():
        for cell, old_cell in product(range(new.cells), range(old.cells)):
            if cell == old_cell or not same:
                n, o = new.start + channel * new.cells + cell, old.start + other * old.cells + old_cell
                yield n, o, sign / share


def _rest(size: int, runs: list[tuple[FieldChannels, int]]) -> list[int]:
    """List the channels outside the fields."""
    taken = {run.start + n for run, channels in runs for n in range(channels * run.cells)}
    return [n for n in range(size) if n not in taken]


def _filled(new: Tensor, old: Tensor, axis: int, entries: list[Entry]) -> Tensor:
    """Replace channels of ``new`` by the sums of those of ``old`` that the entries name."""
    rows, sources = (torch.tensor([entry[n] for entry in entries]) for n in (0, 1))
    shape = [-1 if n == axis else 1 for n in range(new.ndim)]
    factors = torch.tensor([entry[2] for entry in entries], dtype=new.dtype).view(shape)
    values = old.to(new.dtype).index_select(axis, sources) * factors
    return new.clone().index_fill_(axis, rows, 0).index_add_(axis, rows, values)
