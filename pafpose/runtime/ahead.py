"""Work in threads ahead of the loop that needs it, in order and within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_END: Any = object()


def map_ahead(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """Yield ``function(item)`` in the order of the items, which up to ``threads`` threads compute ahead.

    At most twice as many items as threads have been taken and not been yielded.

    >>> list(map_ahead(abs, [-1, 2, -3], threads=2))
    [1, 2, 3]
    """
    with _pool(threads) as pool:
        pending: deque[Future[R]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def read_ahead(items: Iterable[T], *, count: int) -> Iterator[T]:
    """Yield the items, of which one thread takes up to ``count`` ahead.

    >>> list(read_ahead(range(5), count=2))
    [0, 1, 2, 3, 4]
    """
    iterator = iter(items)
    with _pool(1) as pool:
        pending = deque(pool.submit(next, iterator, _END) for _ in range(count))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, iterator, _END))
            yield item


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Start threads; when the loop is left early, what they have not begun is dropped."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
