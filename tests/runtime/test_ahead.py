"""Work ahead: in order, within bounds, and gone when the loop ends."""

from __future__ import annotations

import threading
import time

import pytest

from pafpose.runtime.ahead import map_ahead, read_ahead


def test_results_keep_the_order_of_the_items() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.01 * (3 - n % 4))
        return n * n

    assert list(map_ahead(slow_first, range(12), threads=3)) == [n * n for n in range(12)]
    assert list(read_ahead(iter(range(12)), count=3)) == [*range(12)]


def test_no_more_is_held_than_allowed() -> None:
    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    for done, _ in enumerate(map_ahead(lambda n: n, items(), threads=3), start=1):
        assert len(taken) - done <= 6
    taken.clear()
    for done, _ in enumerate(read_ahead(items(), count=4), start=1):
        assert len(taken) - done <= 5


def test_work_is_done_ahead() -> None:
    started = threading.Event()

    def items():
        yield 0
        started.set()
        yield 1

    stream = read_ahead(items(), count=2)
    assert next(stream) == 0 and started.wait(5)
    assert list(stream) == [1]


@pytest.mark.parametrize("where", ["function", "items"])
def test_errors_arrive_where_the_loop_is(where: str) -> None:
    def items():
        yield from range(3)
        if where == "items":
            raise KeyError("items")

    def fail(n: int) -> int:
        if where == "function" and n == 2:
            raise KeyError("function")
        return n

    seen = []
    with pytest.raises(KeyError, match=where):
        for n in map_ahead(fail, items(), threads=1):
            seen.append(n)
    assert seen == [0, 1][: len(seen)] and len(seen) >= 1
    with pytest.raises(KeyError, match="items"):
        for _ in read_ahead(iter_of(KeyError("items")), count=2):
            pass


def iter_of(error: Exception):
    yield 1
    raise error


def test_a_loop_that_is_left_early_leaves_no_threads() -> None:
    before = threading.active_count()
    stream = map_ahead(lambda n: n, range(1000), threads=3)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    reading = read_ahead(range(1000), count=3)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
