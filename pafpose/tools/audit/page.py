"""The audit as one self-contained HTML page, with pictures of the worst of each kind."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import cv2
import numpy as np

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools import report
from pafpose.tools.audit.annotations import Table
from pafpose.tools.audit.findings import KINDS, Finding
from pafpose.tools.audit.run import Audit
from pafpose.viz.draw import draw_people, enlarge, enlarge_points

HEIGHT = 300  # px of the pictures
STYLE = """
.ok { color: #0f7b6c; } .bad { color: var(--bad); }
.grid { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
.grid figure { width: min-content; min-width: 180px; }
.grid .grid { flex-wrap: nowrap; } .grid img { border-radius: 6px; display: block; }
.share { width: 220px; }
.share i { display: block; height: 10px; background: var(--main); border-radius: 3px; }
td.text { white-space: normal; overflow-wrap: anywhere; }
details { margin: 6px 0; } summary { cursor: pointer; color: var(--soft); }
"""


def page(audit: Audit, *, pictures: int, listed: int) -> str:
    """The whole page; ``pictures`` and ``listed`` of each kind at most."""
    style = (Path(report.__file__).with_name("page.css")).read_text() + STYLE
    found = sorted(audit.counts, key=lambda kind: (kind not in audit.fatal, list(KINDS).index(kind)))
    sections = {"Checks": checks_table(audit, found)}
    sections |= {
        KINDS[kind].title: kind_section(audit, kind, pictures=pictures, listed=listed) for kind in found
    }
    sections["Figures"] = figures_section(audit)
    anchors = {KINDS[kind].title: f' id="{kind}"' for kind in found}
    body = "".join(
        f"<section{anchors.get(name, '')}><h2>{escape(name)}</h2>{content}</section>"
        for name, content in sections.items()
    )
    title = f"Audit of {audit.name}"
    verdict = (
        f'<b class="words bad">{audit.problems} problems</b>'
        if audit.problems
        else '<b class="words ok">clean</b>'
    )
    notes = sum(audit.counts.values()) - audit.problems
    cards = [
        ("status", verdict),
        ("worth a look", f"<b>{notes}</b>"),
        ("skeleton", _strong(audit.skeleton.name)),
    ]
    for split, values in audit.figures.items():
        cards.append((f"{split}: photos", f"<b>{values['photos']}</b>"))
        cards.append((f"{split}: people with keypoints", f"<b>{values['people_with_keypoints']}</b>"))
    boxes = "".join(f'<div class="card"><span class="soft">{escape(n)}</span>{v}</div>' for n, v in cards)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><div class="cards">{boxes}</div></header><main>{body}'
        f"<footer>pafpose, {datetime.now():%Y-%m-%d %H:%M}</footer></main></body></html>"
    )


def checks_table(audit: Audit, found: Sequence[str]) -> str:
    """What was found, in this order, and what to do about it; the checks that found nothing, folded."""
    rows = "".join(
        f'<tr><td><a href="#{kind}">{escape(KINDS[kind].title)}</a></td>'
        f'<td class="n">{audit.counts[kind]}</td>'
        f"<td>{'<span class=bad>problem</span>' if kind in audit.fatal else 'look'}</td>"
        f'<td class="text">{escape(KINDS[kind].advice)}</td><td><code>{kind}</code></td></tr>'
        for kind in found
    )
    head = '<th>check</th><th class="n">found</th><th></th><th>what to do</th><th>name</th>'
    table = (
        f'<div class="scroll" style="max-height:none"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    rest = [kind for kind in KINDS if kind not in found]
    items = "".join(f"<li>{escape(KINDS[kind].title)} <code>{kind}</code></li>" for kind in rest)
    folded = f"<details><summary>{len(rest)} checks found nothing</summary><ul>{items}</ul></details>"
    return (table if found else "<p>Nothing was found.</p>") + folded


def figures_section(audit: Audit) -> str:
    """Counts and sizes of each split, and how often each keypoint is labelled."""
    if not audit.figures:
        return "<p class=soft>No split could be read.</p>"
    splits = list(audit.figures)
    keys = [key for key in audit.figures[splits[0]] if key != "labelled_share"]
    rows = "".join(
        f"<tr><td>{escape(key.replace('_', ' '))}</td>"
        + "".join(f'<td class="n">{_value(audit.figures[s][key])}</td>' for s in splits)
        + "</tr>"
        for key in keys
    )
    shares = audit.figures[splits[0]]["labelled_share"]
    bars = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td>"
        + "".join(_bar(audit.figures[s]["labelled_share"].get(name, 0)) for s in splits)
        + "</tr>"
        for name in shares
    )
    heads = "".join(f'<th class="n">{escape(s)}</th>' for s in splits)
    wide = "".join(f'<th colspan="2">{escape(s)}</th>' for s in splits)
    return (
        "<p class=soft>Sizes are least / median / largest. Shares are of the people with keypoints.</p>"
        f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div><h3>How often each keypoint is labelled</h3>"
        '<div class="scroll" style="max-height:none"><table><thead>'
        f"<tr><th></th>{wide}</tr></thead><tbody>{bars}</tbody></table></div>"
    )


def kind_section(audit: Audit, kind: str, *, pictures: int, listed: int) -> str:
    """The worst of a kind in pictures, then as a list."""
    found = audit.of(kind)
    shown = [drawn for finding in found[: 3 * pictures] if (drawn := _figure(audit, finding))][:pictures]
    rows = "".join(
        f"<tr><td>{f.split}</td><td>{escape(f.file or '')}</td><td class=n>{_id(f.image_id)}</td>"
        f'<td class=n>{_id(f.annotation_id)}</td><td class="text">{escape(f.text)}</td></tr>'
        for f in found[:listed]
    )
    head = "<th>split</th><th>file</th><th class=n>image</th><th class=n>annotation</th><th>what</th>"
    rest = f", the first {listed} here" if len(found) > listed else ""
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return (
        f"<p class=soft>{escape(_sentence(KINDS[kind].advice))}</p>"
        + (f'<div class="grid">{"".join(shown)}</div>' if shown else "")
        + f"<details{'' if shown else ' open'}><summary>{len(found)} found{rest}</summary>{table}</details>"
    )


def _figure(audit: Audit, finding: Finding) -> str | None:
    """A picture with its caption; None where there is nothing to see."""
    if finding.file is None or finding.split not in audit.tables:
        return None
    table, folder = audit.tables[finding.split]
    try:
        views = [_view(folder / finding.file, table, finding.person, audit.skeleton)]
        if finding.other:
            views.insert(0, _whole(load_image(finding.other)))
    except PafposeError:
        return None
    caption = f"{finding.file}: {finding.text}"
    if finding.annotation_id is not None:
        caption += f" (annotation {finding.annotation_id})"
    images = "".join(f'<img alt="" src="{_uri(view)}">' for view in views)
    return f'<figure><div class="grid">{images}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _view(path: Path, table: Table, person: int | None, skeleton: Skeleton) -> np.ndarray:
    """The photo, or the person in it with box and skeleton; room is added for what lies outside."""
    image = load_image(path, exif=False)
    if person is None:
        return _whole(image)
    labelled = table.labelled[person]
    points = np.where(labelled[:, None], np.nan_to_num(table.keypoints[person], posinf=0, neginf=0), 0)
    low, high, box = _extent(points, labelled, table.boxes[person], image.shape[:2])
    size = np.maximum(high - low, 1)
    canvas = np.full((size[1], size[0], 3), 200, np.uint8)
    a, b = np.maximum(low, 0), np.minimum(high, image.shape[1::-1])
    if (b > a).all():
        x, y = a - low
        canvas[y : y + b[1] - a[1], x : x + b[0] - a[0]] = image[a[1] : b[1], a[0] : b[0]]
    factor = min(HEIGHT / size[1], 420 / size[0])
    moved = points.copy()
    moved[:, :2] -= low
    out = enlarge(canvas, factor)
    if box is not None:
        corners = (np.array([box[:2], box[:2] + box[2:]]) - low + 0.5) * factor - 0.5
        start, stop = (tuple(int(v) for v in corner.round()) for corner in corners)
        cv2.rectangle(out, start, stop, (255, 255, 255), 1, cv2.LINE_AA)
    return draw_people(out, enlarge_points(moved, factor)[None], skeleton)


def _extent(
    points: np.ndarray, labelled: np.ndarray, box: np.ndarray, size: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Corners of the part to show, whole pixels, at most one photo beyond the photo, and the box if any."""
    corners = [points[labelled, :2]]
    good = bool(np.isfinite(box).all())
    if good:
        corners.append(np.array([box[:2], box[:2] + box[2:]]))
    around = np.concatenate(corners)
    sides = np.array(size[::-1])
    if not len(around):
        return np.zeros(2, int), sides, None
    pad = 0.12 * float(np.ptp(around, axis=0).max()) + 8
    low = np.clip(around.min(0) - pad, -sides, 2 * sides - 8)
    high = np.clip(around.max(0) + pad, low + 8, 2 * sides)
    return np.floor(low).astype(int), np.ceil(high).astype(int), box if good else None


def _whole(image: np.ndarray) -> np.ndarray:
    return enlarge(image, min(HEIGHT / image.shape[0], 420 / image.shape[1]))


def _uri(image: np.ndarray) -> str:
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _value(value: float | Sequence[float]) -> str:
    if isinstance(value, list):
        return " / ".join(f"{v:g}" for v in value) or "–"
    return f"{value:g}"


def _bar(share: float) -> str:
    percent = f"{100 * share:.0f}"
    return f'<td class="share"><i style="width:{percent}%"></i></td><td class="n">{percent} %</td>'


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _strong(text: str) -> str:
    return f'<b class="words">{escape(text)}</b>'


def _id(number: int | None) -> str:
    return "" if number is None else str(number)
