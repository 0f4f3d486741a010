"""Schedules: rates worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pafpose.config import build, load_config
from pafpose.errors import PafposeError
from pafpose.training import schedules

CONF = Path(__file__).resolve().parents[2] / "conf"


def make_optimizer() -> Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(make_schedule: Callable[[Optimizer], LambdaLR], steps: int) -> list[float]:
    """The rate of each of the first ``steps`` steps, for a base rate of 1."""
    optimizer = make_optimizer()
    schedule = make_schedule(optimizer)
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def rates_of(option: str, total_steps: int | None, steps: list[int]) -> list[float]:
    """The rates that ``scheduler=<option>`` gives at some steps."""
    node = load_config([f"scheduler={option}"]).scheduler
    factor = build(node, optimizer=make_optimizer(), total_steps=total_steps).lr_lambdas[0]
    return [factor(step) for step in steps]


def test_linear_warms_up_and_falls_evenly() -> None:
    got = rates(lambda o: schedules.linear(o, 100, warmup=4, final=0.1), 102)
    assert got[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert got[52] == pytest.approx(0.55) and got[100] == got[101] == pytest.approx(0.1)
    assert rates(lambda o: schedules.linear(o, 100, warmup=0.04, final=0.1), 102) == pytest.approx(got)


def test_cosine_warms_up_and_ends_low() -> None:
    got = rates(lambda o: schedules.cosine(o, 100, warmup=4, final=0.1), 102)
    assert got[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert got[28] == pytest.approx(0.1 + 0.9 * 0.853553, abs=1e-6)  # a quarter: (1 + cos 45 degrees) / 2
    assert got[52] == pytest.approx(0.1 + 0.9 * 0.5, abs=1e-6)
    assert got[100] == got[101] == pytest.approx(0.1)
    assert rates(lambda o: schedules.cosine(o, 100, warmup=0.04, final=0.1), 102) == pytest.approx(got)


def test_step_and_multistep_by_hand() -> None:
    got = rates(lambda o: schedules.step(o, None, every=2, gamma=0.1), 5)
    assert got == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    got = rates(lambda o: schedules.multistep(o, 10, milestones=[0.2, 3], gamma=0.5), 5)
    assert got == pytest.approx([1, 1, 0.5, 0.25, 0.25])
    assert rates(lambda o: schedules.constant(o, None), 3) == [1, 1, 1]


def test_every_schedule_warms_up() -> None:
    ramp = [0.25, 0.5, 0.75, 1.0]
    for make in (
        lambda o: schedules.constant(o, None, warmup=3),
        lambda o: schedules.step(o, None, every=50, gamma=0.1, warmup=3),
        lambda o: schedules.multistep(o, 100, milestones=[0.5], gamma=0.1, warmup=0.03),
    ):
        assert rates(make, 4) == pytest.approx(ramp)


def test_the_papers_steps() -> None:
    got = rates_of("step", None, [0, 136105, 136106, 272212])
    assert got == pytest.approx([1, 1, 0.333, 0.333**2])


def test_the_seeds_steps_come_at_50_and_100_of_150_epochs() -> None:
    got = rates_of("part_affinity", 150 * 7, [epoch * 7 for epoch in (0, 49, 50, 99, 100, 149)])
    assert got == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_lightweights_steps_come_at_100_200_and_260_of_280_epochs() -> None:
    got = rates_of("lightweight2018", 280 * 7, [epoch * 7 for epoch in (99, 100, 199, 200, 259, 260)])
    assert got == pytest.approx([1, 0.333, 0.333, 0.333**2, 0.333**2, 0.333**3], rel=1e-6)


def test_a_fraction_of_a_very_short_run_is_still_a_step() -> None:
    assert rates(lambda o: schedules.step(o, 2, every=0.3333334, gamma=0.1), 2) == pytest.approx([1, 0.1])


def test_a_length_of_one_is_a_step_not_the_whole_run() -> None:
    assert rates(lambda o: schedules.step(o, 100, every=1, gamma=0.5), 3) == pytest.approx([1, 0.5, 0.25])


def test_a_warm_up_may_take_the_whole_run() -> None:
    got = rates(lambda o: schedules.linear(o, 4, warmup=4, final=0.1), 5)
    assert got == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("total", [None, 0, -1])
def test_a_fraction_of_an_endless_run_is_an_error(total: int | None) -> None:
    with pytest.raises(PafposeError, match=r"trainer\.max_steps"):
        schedules.cosine(make_optimizer(), total)
    with pytest.raises(PafposeError, match=r"trainer\.max_steps"):
        schedules.constant(make_optimizer(), total, warmup=0.1)


def test_wrong_values_name_the_key() -> None:
    with pytest.raises(PafposeError, match=r"scheduler\.every=0"):
        schedules.step(make_optimizer(), 100, every=0, gamma=0.1)
    with pytest.raises(PafposeError, match=r"scheduler\.warmup=-1"):
        schedules.constant(make_optimizer(), 100, warmup=-1)


@pytest.mark.parametrize("option", sorted(p.stem for p in (CONF / "scheduler").glob("*.yaml")))
def test_every_option_builds_and_its_state_holds_plain_values(option: str) -> None:
    node = load_config([f"scheduler={option}"]).scheduler
    state = build(node, optimizer=make_optimizer(), total_steps=100).state_dict()
    assert state["lr_lambdas"] == [None]
