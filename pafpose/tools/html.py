"""Self-contained HTML pages, rendered by Jinja2 from ``templates/``; all values are escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("pafpose.tools"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Card(NamedTuple):
    """A number at the head of a page."""

    name: str
    value: str
    style: str = ""  # CSS classes: words for text instead of a number, good or bad for its colour


def render(template: str, *, title: str, cards: Sequence[Card], **values: Any) -> str:
    """Return the page of a template that extends ``page.html``."""
    now = f"{datetime.now():%Y-%m-%d %H:%M}"
    return _TEMPLATES.get_template(template).render(title=title, cards=cards, now=now, **values)


def jpeg_uri(image: np.ndarray) -> str:
    """Return an RGB picture as a JPEG in a ``data:`` address."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
