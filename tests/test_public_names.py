"""The public names: those of the contract, each imported when it is first used."""

from __future__ import annotations

import pytest

import pafpose


def test_the_public_names_are_those_of_the_contract() -> None:
    builders = {f"build_{name}" for name in ("datamodule", "decoder", "network", "skeleton", "targets")}
    containers = {"Fields", "PafposeError", "People", "Poses", "Skeleton", "Targets", "Tracker"}
    assert set(pafpose.__all__) == builders | containers | {"load", "load_config", "train"}
    assert all(callable(getattr(pafpose, name)) for name in pafpose.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pafpose.nonsense  # type: ignore[attr-defined]
