"""The builder refuses what does not fit, and keeps its settings to itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from target_cases import SIZE, build, crowd

from pafpose.errors import PafposeError
from pafpose.targets import PafSettings


def test_errors_name_what_was_given():
    builder = build()
    with pytest.raises(PafposeError, match=r"keypoints: got shape \(1, 2, 17, 3\), expected \(B, P, 6, 3\)"):
        builder(torch.zeros(1, 2, 17, 3), SIZE)
    with pytest.raises(PafposeError, match=r"\(50, 64\) is not a multiple of the field stride 8"):
        builder(torch.zeros(1, 2, 6, 3), (50, 64))
    with pytest.raises(PafposeError, match=r"boxes: got shape \(1, 3, 4\), expected \(1, 2, 4\)"):
        builder(torch.zeros(1, 2, 6, 3), SIZE, torch.zeros(1, 3, 4))
    with pytest.raises(PafposeError, match=r"ignore: got shape \(1, 5, 5\), expected \(1, 48, 64\)"):
        builder(torch.zeros(1, 2, 6, 3), SIZE, ignore=torch.zeros(1, 5, 5, dtype=torch.bool))
    with pytest.raises(PafposeError, match="kernel=fast"):
        build("fast")
    with pytest.raises(PafposeError, match=r"head.stride=0"):
        build(stride=0)


def test_settings_are_kept_apart(rng):
    """Two builders with different choices live side by side."""
    keypoints = torch.from_numpy(crowd(rng, 2))
    narrow, wide = build(paf=PafSettings(width=2)), build(paf=replace(PafSettings(), width=20))
    first = narrow(keypoints, SIZE).pafs
    wide(keypoints, SIZE)
    assert torch.equal(narrow(keypoints, SIZE).pafs, first)
