"""Threads that each own a share of the CPU's cores, for work that needs no meeting points between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any

import torch


def side_by_side(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of all jobs, each run in a thread of its own that uses its share of torch's threads.

    torch cuts every operation among its threads and waits for the slowest, thousands of times in a step of
    training; whole jobs side by side wait once. Raises what the first failing job raises.
    """
    if len(jobs) < 2:
        return [job() for job in jobs]
    return [future.result() for future in [_pool(len(jobs)).submit(job) for job in jobs]]


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """As many threads as jobs, kept for the life of the process."""
    total = torch.get_num_threads()
    share = max(1, total // count)
    pool = ThreadPoolExecutor(count, "pafpose-part")
    for prepare in (_meet_torch, lambda: torch.set_num_threads(share)):
        barrier = Barrier(count)  # so that each thread of the pool gets one of the calls
        for future in [pool.submit(_together, barrier, prepare) for _ in range(count)]:
            future.result()
        torch.set_num_threads(total)  # set_num_threads speaks for its own thread, and for threads to come
    return pool


def _together(barrier: Barrier, call: Callable[[], None]) -> None:
    barrier.wait()
    call()


def _meet_torch() -> None:
    """The first parallel operation of a thread gives it all of torch's threads: let that be over with."""
    torch.zeros(1 << 18).add_(1)


if hasattr(os, "register_at_fork"):  # a fork has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
