"""Batches of equal things from a stream of unequal ones, and the stream's order again afterwards."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Batch = tuple[list[int], list[T]]  # the items' numbers in the stream, and the items


def in_batches(items: Iterable[T], size: int, *, key: Callable[[T], Hashable]) -> Iterator[Batch[T]]:
    """Yield batches of up to ``size`` items of the same key, with their numbers in the stream.

    An item waits for company until the stream is two batches further, so that few items are held at a time
    and a rare kind does not hold up the others.

    >>> list(in_batches("aabaaa", 2, key=str))
    [([0, 1], ['a', 'a']), ([3, 4], ['a', 'a']), ([2], ['b']), ([5], ['a'])]
    """
    waiting: dict[Hashable, Batch[T]] = {}  # in the order of their first items
    for number, item in enumerate(items):
        numbers, group = waiting.setdefault(key(item), ([], []))
        numbers.append(number)
        group.append(item)
        if len(group) == size:
            yield waiting.pop(key(item))
        while waiting and number - next(iter(waiting.values()))[0][0] >= 2 * (size - 1):
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def in_order(batches: Iterable[Batch[T]]) -> Iterator[T]:
    """Yield the items of batches by their numbers, which count from 0 without gaps.

    >>> list(in_order([([1], ["b"]), ([0, 2], ["a", "c"])]))
    ['a', 'b', 'c']
    """
    ready: dict[int, T] = {}
    following = 0
    for numbers, items in batches:
        ready.update(zip(numbers, items, strict=True))
        while following in ready:
            yield ready.pop(following)
            following += 1
