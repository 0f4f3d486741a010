"""The format version of checkpoints: written, read, and refused in words where it is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network
from pafpose.inference.format_version import FORMAT_VERSION, check_format


def rewritten(checkpoint: Path, folder: Path, **parameters: Any) -> Path:
    """A copy of the checkpoint with other values beside its config; None deletes one."""
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    both = {**content["hyper_parameters"], **parameters}
    content["hyper_parameters"] = {key: value for key, value in both.items() if value is not None}
    torch.save(content, folder / "copy.ckpt")
    return folder / "copy.ckpt"


def test_checkpoints_say_their_version(checkpoint: Path) -> None:
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["format_version"] == FORMAT_VERSION == 1


def test_a_newer_version_is_refused_before_its_config_is_looked_at(checkpoint: Path, tmp_path: Path) -> None:
    path = rewritten(checkpoint, tmp_path, format_version=2, config={"of": "another form"})
    with pytest.raises(PafposeError, match=r"copy\.ckpt: was written by a newer pafpose .*pip install --up"):
        load_network(path)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, [1]])
def test_a_version_that_was_never_written_is_refused(version: object) -> None:
    with pytest.raises(PafposeError, match=r"run\.ckpt: its format_version=.* is none that pafpose"):
        check_format(version, "run.ckpt")


def test_a_checkpoint_of_before_is_read_and_said_to_be_one(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        load_network(checkpoint)
        assert "format_version" not in caplog.text
        load_network(rewritten(checkpoint, tmp_path, format_version=None))
    assert "copy.ckpt: has no format_version, so it is older than pafpose 0.2.0" in caplog.text
