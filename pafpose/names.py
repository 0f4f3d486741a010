"""Names of keypoints: read them from configs, find them, and match them with the names of a data set."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pafpose.errors import PafposeError, shown

MAX_KEYPOINTS, MAX_NAME = 1000, 100  # more is a mistake, or an attack

_SIDES = {"l": "left", "r": "right"}


def match_names(
    own: Mapping[str, int], names: Sequence[str], *, aliases: Mapping[str, int]
) -> dict[int, int]:
    """Return, for every channel of ``own`` that is among ``names``, its position there, by channel.

    ``own`` are names and channels, ``aliases`` other plain names of them. Equal names win over similar ones,
    and of several the first.
    """
    exact = {str(name): n for n, name in reversed(list(enumerate(names)))}
    plain = [plain_name(str(name)) for name in names]
    loose = {_spelt_out(name, plain): n for n, name in reversed(list(enumerate(plain)))}
    loose |= {name: n for n, name in reversed(list(enumerate(plain)))}
    found = {k: exact[name] for name, k in own.items() if name in exact}
    for name, k in (*((plain_name(name), k) for name, k in own.items()), *aliases.items()):
        if name in loose:
            found.setdefault(k, loose[name])
    return dict(sorted(found.items()))


def plain_name(name: str) -> str:
    """Return a name for comparison: small letters and digits only, ``left`` or ``right`` first.

    >>> {plain_name(name) for name in ("L_Hip", "left-hip", "hip.L", "LeftHip", "LHip", "Left Hip")}
    {'lefthip'}
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)  # LeftEye, LEye
    words = [_SIDES.get(word, word) for word in re.findall(r"[^\W_]+", apart.lower())]
    sides = [word for word in words if word in ("left", "right")]
    return "".join(sides[:1] + [word for word in words if word not in sides[:1]])


def _spelt_out(name: str, names: Sequence[str]) -> str:
    """Return ``lshoulder`` as ``leftshoulder`` if ``rshoulder`` is among the names too."""
    other = {"l": "r", "r": "l"}.get(name[:1], "")
    return _SIDES[name[0]] + name[1:] if other and other + name[1:] in names else name


def read_name(value: Any, where: str) -> str:
    """Return a name; raise ``PafposeError`` unless it is a short word or a number."""
    if not isinstance(value, str | int) or len(str(value)) > MAX_NAME:
        raise PafposeError(f"{where}: {shown(value)} is no name; give a word of up to {MAX_NAME} letters")
    return str(value)


def read_names(given: Any, where: str, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """Return a list of names; raise ``PafposeError`` if one comes twice or is ``taken``."""
    if not isinstance(given, list | tuple) or len(given) > MAX_KEYPOINTS:
        raise PafposeError(f"{where}: {shown(given)} is no list of names (up to {MAX_KEYPOINTS})")
    names = [read_name(name, where) for name in given]
    seen = set(taken)
    for name in names:
        if name in seen:
            raise PafposeError(f"{where}: {name!r} is listed twice; every keypoint needs its own name")
        seen.add(name)
    return tuple(names)


def find_name(name: str, names: Sequence[str], where: str) -> int:
    """Return the position of a name; raise ``PafposeError`` with the nearest one if it is unknown."""
    name = read_name(name, where)
    try:
        return list(names).index(name)
    except ValueError:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        raise PafposeError(f"{where}: unknown keypoint {name!r}; {hint}") from None


def find_two(pair: Sequence[str], names: Sequence[str], where: str) -> tuple[int, int]:
    """Return the positions of two different names; raise ``PafposeError`` if it is no such pair."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise PafposeError(f"{where}: expected two keypoint names, got {shown(pair)}")
    a, b = find_name(pair[0], names, where), find_name(pair[1], names, where)
    if a == b:
        raise PafposeError(f"{where}: both ends are {pair[0]!r}; name two different keypoints")
    return a, b
