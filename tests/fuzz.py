"""Mutations of files, each determined by a number."""

from __future__ import annotations

import copy
import json
import random
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pafpose.errors import PafposeError

ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, 10**400, 0.5, -0.0, 1e8, -1e8, 1e30, 1e308,
    float("nan"),
    float("inf"), -float("inf"), "", "0", "1", "nan", "x", "../x", "/etc/passwd", "a\0b", "\ud800", "é" * 300,
    "x" * 5000,
    [], {}, [[]], [None], [1], [1, 2], [1, 2, 3, 4], [[1, 2], [3, 4], [5, 6]], {"a": 1}, [[[[[1]]]]],
    [1e8] * 8,
    {"size": [90, 120], "counts": "o" * 9}, {"size": [1, 1], "counts": [1]}, {"counts": [5] * 99},
]  # fmt: skip


def mutated_json(content: Any, seed: int) -> Any:
    """A copy with one to four values changed, dropped, repeated or exchanged at any depth."""
    rng = random.Random(seed)
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        node = _some_container(content, rng)
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            continue
        key = rng.choice(keys)
        way = rng.randrange(6)
        if way == 0:
            del node[key]
        elif way == 1 and isinstance(node, list):
            node.insert(rng.randint(0, len(node)), copy.deepcopy(node[key]))
        elif way == 2:
            node[key] = _bent(node[key], rng)
        elif way == 3:
            other = rng.choice(keys)
            node[key], node[other] = node[other], node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return content


def _some_container(content: Any, rng: random.Random) -> Any:
    """Any dictionary or list in the content; most are deep."""
    found = [content]
    for node in found:
        rows = node.values() if isinstance(node, dict) else node
        found += [row for row in rows if isinstance(row, dict | list)]
    return rng.choice(found)


def _bent(value: Any, rng: random.Random) -> Any:
    """A value in another form: in quotes, in a list, of another sign or size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return rng.choice([[value], str(value), {"x": value}])
    return rng.choice([str(value), [value], -value, value * 1000, value + 1, {"value": value}])


def mutated_bytes(data: bytes, seed: int) -> bytes:
    """A copy with bits flipped, bytes overwritten, cut out, repeated, inserted, or its end cut off."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        # headers matter most
        at = rng.randrange(min(len(out), 400) if rng.random() < 0.6 else len(out)) if out else 0
        span = rng.choice((1, 1, 2, 4, 16, 200))
        way = rng.randrange(7)
        if way == 0 and out:
            out[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            out[at : at + span] = rng.randbytes(span)
        elif way == 2:
            del out[at : at + span]
        elif way == 3:
            out[at:at] = out[at : at + span]
        elif way == 4:
            out[at : at + span] = bytes([rng.choice((0, 255, 127, 128))]) * span
        elif way == 5:
            out[at:at] = rng.randbytes(span)
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


def mutated_text(text: str, seed: int) -> bytes:
    """Words and lines changed, dropped, repeated or exchanged; now and then the bytes themselves."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return mutated_bytes(text.encode(), seed)
    lines = [line.split(" ") for line in text.split("\n")]
    for _ in range(rng.randint(1, 4)):
        line = rng.choice(lines)
        at, way = rng.randrange(len(line)), rng.randrange(5)
        if way == 0:
            del line[at]
        elif way == 1:
            line.insert(at, line[at])
        elif way == 2:
            lines.insert(rng.randrange(len(lines) + 1), list(line))
        else:
            odd = rng.choice(ODD_VALUES)
            line[at] = str(odd) if isinstance(odd, str | float) else json.dumps(odd)
        lines = [line or [""] for line in lines]
    return "\n".join(" ".join(line) for line in lines).encode("utf-8", "surrogatepass")


def check(count: int, trial: Callable[[int], object], *, named: str) -> None:
    """Call ``trial(seed)`` for every seed below ``count``.

    A trial returns, or raises a ``PafposeError`` of moderate length that holds ``named``. Everything else,
    and more than ten seconds of computing or a minute of waiting, is a failure; all are listed.
    """
    bad: dict[str, list[int]] = {}
    before = {kind: signal.signal(kind, _too_long) for kind in (signal.SIGALRM, signal.SIGPROF)}
    try:
        for seed in range(count):
            signal.setitimer(signal.ITIMER_PROF, 10)  # of computing, whatever else the machine does
            signal.alarm(60)
            if text := _outcome(trial, seed, named):
                bad.setdefault(text, []).append(seed)
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for kind, handler in before.items():
            signal.signal(kind, handler)
    lines = [f"{len(seeds)} times, first with seed {seeds[0]}: {text}" for text, seeds in bad.items()]
    assert not bad, f"{sum(map(len, bad.values()))} of {count}:\n" + "\n".join(lines)


def _outcome(trial: Callable[[int], object], seed: int, named: str) -> str:
    """Return what is wrong with a trial; empty if nothing is."""
    try:
        trial(seed)
    except PafposeError as error:
        if len(str(error)) > 3000:
            return f"a message of {len(str(error))} characters: {str(error)[:200]}"
        return "" if named in str(error) else f"no file is named: {str(error)[:200]}"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {str(error)[:120]}"
    return ""


def _too_long(*_: object) -> None:
    raise TimeoutError("more than ten seconds")
