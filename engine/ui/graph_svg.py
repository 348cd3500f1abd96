"""A Graph as a self-contained SVG: no scripts, nothing from elsewhere, light or dark by the viewer's setting.

Structure: the picture's title and description, then for every flow its nodes and edges; what is inside a Parallel or
Map is inside its `<g>`. A node's `<g>` has the node's id in `data-id` and the state's name in `data-state`; an edge's
has `data-source` and `data-target`. What was shortened stands in full in a `<title>`, shown as a tooltip by browsers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from engine.ui.graph import every_node
from engine.ui.graph_layers import Box
from engine.ui.graph_layout import (
    BADGE_ABOVE,
    BADGE_GAP,
    BADGE_HEIGHT,
    BAND,
    DETAIL_LEADING,
    LABEL_LEADING,
    NAME_LEADING,
    badge_width,
    drawing_of,
)
from engine.ui.graph_text import clean, shortened, width
from engine.ui.graph_theme import BADGE_SIZE, HEADING_SIZE, ICONS, STATUS_ICONS, STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.ui.graph import Edge, Graph, Node, Status
    from engine.ui.graph_layers import Point
    from engine.ui.graph_layout import Drawing, PlacedEdge, PlacedLabel, PlacedNode

_MARGIN: Final = 24.0
_TITLE_HEIGHT: Final = 34.0
_TITLE_MOST: Final = 90
_CORNER: Final = 8.0
_ARROW: Final = 7.0


def to_svg(graph: Graph, *, highlight: Mapping[str, Status] | None = None) -> str:
    """The picture.

    Args:
        graph: What to draw.
        highlight: How states fared, by name; states that are not named stay pale.

    Returns:
        An SVG document without an XML declaration, so that it can also stand inside an HTML page.

    Raises:
        LayoutUnavailable: graphlay is not installed.
    """
    drawing = drawing_of(graph)
    heading = clean(graph.title or "")
    top = _MARGIN + (_TITLE_HEIGHT if heading else 0)
    # A short flow under a long title is made wide enough for it.
    inner = max(drawing.box.width, width(shortened(heading, _TITLE_MOST), HEADING_SIZE, semibold=True))
    wide, high = _n(inner + 2 * _MARGIN), _n(drawing.box.height + top + _MARGIN)
    body = [f'<rect class="asl-page" width="{wide}" height="{high}"/>']
    if heading:
        body.append(_text("asl-heading", _MARGIN, _MARGIN + 14, shortened(heading, _TITLE_MOST)))
    shift = f"translate({_n(_MARGIN + (inner - drawing.box.width) / 2)} {_n(top)})"
    body += [f'<g transform="{shift}">', *_drawing_lines(drawing, highlight), "</g>"]
    # Several pictures can stand in one HTML page, where ids must differ.
    key = hashlib.sha256("\n".join(body).encode()).hexdigest()[:8]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
        f' role="img" aria-labelledby="asl-{key}-title asl-{key}-desc" class="asl-graph">'
    )
    return "\n".join(
        [
            head,
            f'<title id="asl-{key}-title">{_t(heading or "State machine")}</title>',
            f'<desc id="asl-{key}-desc">{_t(_description(graph, highlight))}</desc>',
            f"<style>{STYLE}</style>",
            *body,
            "</svg>",
            "",
        ]
    )


def _description(graph: Graph, highlight: Mapping[str, Status] | None) -> str:
    states = [node for node in every_node(graph) if node.kind not in {"Start", "End"}]
    parts = [f"A state machine with {len(states)} state{'' if len(states) == 1 else 's'}."]
    if graph.comment:
        parts.append(clean(graph.comment))
    if highlight is not None:
        fared = [f"{node.name}: {highlight[node.name]}" for node in states if node.name in highlight]
        parts.append(clean("; ".join(fared) + "." if fared else "No state was entered."))
    return " ".join(parts)


def _drawing_lines(drawing: Drawing, highlight: Mapping[str, Status] | None) -> Iterator[str]:
    for node in drawing.nodes:
        yield from _node_lines(node, highlight)
    # After the nodes, whose sheets would hide arrowheads; no line runs through a node.
    for placed in drawing.edges:
        yield from _edge_lines(placed)
    # Last, so that no line of a neighbour runs over a text.
    for placed in drawing.edges:
        if placed.label is not None:
            yield from _label_lines(placed, placed.label)


def _node_lines(placed: PlacedNode, highlight: Mapping[str, Status] | None) -> Iterator[str]:
    node, box = placed.node, placed.box
    if node.kind in {"Start", "End"}:
        yield from _marker_lines(node, box)
        return
    status = highlight.get(node.name) if highlight is not None else None
    classes = ["asl-state", f"asl-{node.kind.lower()}"]
    if highlight is not None:
        classes.append(f"asl-{status}" if status else "asl-untouched")
    yield f'<g class="{" ".join(classes)}" data-id="{node.id}" data-state={_a(node.name)}>'
    yield f"<title>{_t(_tooltip(node, status))}</title>"
    yield from _container_lines(placed, highlight) if placed.lanes else _card_lines(placed)
    if status:
        place = f"translate({_n(box.right - 3)} {_n(box.y + 3)})"
        yield f'<g class="asl-status" transform="{place}"><circle r="9"/>{STATUS_ICONS[status]}</g>'
    yield "</g>"


def _marker_lines(node: Node, box: Box) -> Iterator[str]:
    x, y = box.x + box.width / 2, box.y + box.height / 2
    yield f'<g class="asl-marker asl-{node.kind.lower()}-marker" data-id="{node.id}"><title>{node.name}</title>'
    yield _rect(box, radius=box.height / 2)
    if box.width > box.height:
        yield _text("asl-marker-text", x, y + 4.5, node.name, anchor="middle")
    elif node.kind == "End":
        yield f'<circle class="asl-dot" cx="{_n(x)}" cy="{_n(y)}" r="3.5"/>'
    yield "</g>"


def _card_lines(placed: PlacedNode) -> Iterator[str]:
    box = placed.box
    yield _rect(box, radius=_CORNER, css="asl-card")
    left, top, bottom, edge = _n(box.x), _n(box.y), _n(box.bottom), _n(box.x + BAND)
    yield (
        f'<path class="asl-band" d="M{edge} {top}H{_n(box.x + _CORNER)}Q{left} {top} {left} {_n(box.y + _CORNER)}'
        f'V{_n(box.bottom - _CORNER)}Q{left} {bottom} {_n(box.x + _CORNER)} {bottom}H{edge}Z"/>'
    )
    yield _rect(box, radius=_CORNER, css="asl-outline")
    yield _icon(placed.node, box.x + BAND / 2, box.y + box.height / 2)
    yield from _word_lines(placed, box.x + BAND + 10, box.y + (box.height - placed.words.height) / 2)


def _container_lines(placed: PlacedNode, highlight: Mapping[str, Status] | None) -> Iterator[str]:
    box, node = placed.box, placed.node
    if node.kind == "Map":
        # The edges of more sheets behind: it runs once per item.
        for step in (6.0, 3.0) if node.distributed else (3.0,):
            yield _rect(box.moved(step, step), radius=_CORNER + 2, css="asl-sheet")
    yield _rect(box, radius=_CORNER + 2, css="asl-paper")
    yield _rect(box, radius=_CORNER + 2, css="asl-container asl-outline")
    x, y = box.x + 14, box.y + 14
    yield f'<rect class="asl-band" x="{_n(x)}" y="{_n(y)}" width="{_n(BAND)}" height="{_n(BAND)}" rx="{_n(_CORNER)}"/>'
    yield _icon(node, x + BAND / 2, y + BAND / 2)
    head = max(BAND, placed.words.height)
    yield from _word_lines(placed, x + BAND + 10, y + (head - placed.words.height) / 2)
    for lane in placed.lanes:
        yield _rect(lane.box, radius=_CORNER, css="asl-lane")
        yield from _drawing_lines(lane.drawing, highlight)


def _word_lines(placed: PlacedNode, x: float, y: float) -> Iterator[str]:
    words = placed.words
    for line in words.name:
        y += NAME_LEADING
        yield _text("asl-name", x, y - 4, line)
    for line in words.detail:
        y += DETAIL_LEADING
        yield _text("asl-detail", x, y - 4, line)
    y += BADGE_ABOVE
    for badge in words.badges:
        box = Box(x=x, y=y, width=badge_width(badge), height=BADGE_HEIGHT)
        yield _rect(box, radius=BADGE_HEIGHT / 2, css="asl-badge")
        yield _text("asl-badge-text", x + box.width / 2, y + BADGE_SIZE + 1.5, badge, anchor="middle")
        x = box.right + BADGE_GAP


def _edge_lines(placed: PlacedEdge) -> Iterator[str]:
    edge = placed.edge
    yield f'<g class="asl-edge asl-{edge.kind}-edge" data-source="{edge.source}" data-target="{edge.target}">'
    if edge.notes:
        yield f"<title>{_t(_edge_note(edge))}</title>"
    *_, before, tip = placed.points
    length = max(abs(tip[0] - before[0]), abs(tip[1] - before[1])) or 1.0
    ahead = ((tip[0] - before[0]) / length, (tip[1] - before[1]) / length)
    # The line ends inside the arrowhead, so that its blunt end does not show beside the point.
    neck = (tip[0] - ahead[0] * _ARROW / 2, tip[1] - ahead[1] * _ARROW / 2)
    yield f'<path class="asl-line" d="{_rounded((*placed.points[:-1], neck))}"/>'
    side = (-ahead[1] * _ARROW / 2, ahead[0] * _ARROW / 2)
    base = (tip[0] - ahead[0] * _ARROW, tip[1] - ahead[1] * _ARROW)
    corners = (tip, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1]))
    yield f'<path class="asl-arrow" d="M{"L".join(f"{_n(x)} {_n(y)}" for x, y in corners)}Z"/>'
    yield "</g>"


def _label_lines(placed: PlacedEdge, label: PlacedLabel) -> Iterator[str]:
    box = label.box
    yield f'<g class="asl-label asl-{placed.edge.kind}-label"><title>{_t(_edge_note(placed.edge))}</title>'
    yield _rect(box, radius=4)
    for number, line in enumerate(label.lines, start=1):
        yield _text("asl-label-text", box.x + box.width / 2, box.y + number * LABEL_LEADING - 1, line, anchor="middle")
    yield "</g>"


def _rounded(points: tuple[Point, ...]) -> str:
    """A path through the points with its corners rounded off."""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        entry, leaving = _towards(corner, before), _towards(corner, after)
        parts.append(
            f"L{_n(entry[0])} {_n(entry[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(leaving[0])} {_n(leaving[1])}"
        )
    parts.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
    return "".join(parts)


def _towards(corner: Point, other: Point) -> Point:
    """The point where rounding starts: some pixels from the corner, at most halfway to the next one."""
    length = max(abs(other[0] - corner[0]), abs(other[1] - corner[1]))
    share = min(_CORNER, length / 2) / length if length else 0.0
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def _edge_note(edge: Edge) -> str:
    return "\n".join(map(clean, edge.notes))


def _tooltip(node: Node, status: Status | None) -> str:
    lines = [node.name, f"Task · {node.summary}" if node.kind == "Task" else node.summary]
    lines.extend(node.notes)
    if status:
        lines.append(f"Status: {status}")
    return "\n".join(map(clean, lines))


def _icon(node: Node, x: float, y: float) -> str:
    return f'<g class="asl-icon" transform="translate({_n(x)} {_n(y)})">{ICONS[node.kind]}</g>'


def _rect(box: Box, *, radius: float, css: str = "") -> str:
    named = f'class="{css}" ' if css else ""
    place = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
    return f'<rect {named}{place} rx="{_n(radius)}"/>'


def _text(css: str, x: float, y: float, content: str, *, anchor: str = "start") -> str:
    aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{css}" x="{_n(x)}" y="{_n(y)}"{aligned}>{_t(content)}</text>'


def _n(number: float) -> str:
    """A coordinate with at most one digit after the point: finer than a screen, and equal on every machine."""
    return f"{number:.1f}".removesuffix(".0")


def _t(text: str) -> str:
    return escape(text)


def _a(text: str) -> str:
    return quoteattr(clean(text))
