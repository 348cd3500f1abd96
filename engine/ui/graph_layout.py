"""Where everything in a picture goes: sizes from texts, places from graphlay, containers from the inside out.

Every flow is laid out by itself, top to bottom; a Parallel or Map then counts as one box of the size of what it
contains, so nothing inside can reach out. All coordinates are pixels from the picture's top left corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.ui.graph_layers import Box, Link, Size, laid_out
from engine.ui.graph_text import clean, shortened, width, wrapped
from engine.ui.graph_theme import BADGE_SIZE, DETAIL_SIZE, LABEL_SIZE, NAME_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.ui.graph import Edge, Graph, Node
    from engine.ui.graph_layers import Point

NAME_LEADING: Final = 17.0
DETAIL_LEADING: Final = 15.0
BADGE_HEIGHT: Final = 16.0
BADGE_GAP: Final = 5.0
BADGE_ABOVE: Final = 4.0
LABEL_LEADING: Final = 14.0
BAND: Final = 36.0
"""Width of a card's coloured band, and height and width of a container's icon."""

_TEXT_ROOM: Final = 176.0
_TEXT_LEFT: Final = 10.0
_TEXT_RIGHT: Final = 12.0
_CARD_WIDTH_MIN: Final = 132.0
_CARD_HEIGHT_MIN: Final = 44.0
_CARD_PADDING: Final = 9.0
_NAME_LINES_MAX: Final = 4
_DETAIL_LINES_MAX: Final = 3
_LABEL_ROOM: Final = 184.0
_LABEL_LINES_MAX: Final = 6
_RULE_LINES_MAX: Final = 3
_MARKER: Final = (64.0, 28.0)
_INNER_MARKER: Final = (14.0, 14.0)
_CONTAINER_PADDING: Final = 14.0
_LANE_PADDING: Final = 16.0
_LANE_GAP: Final = 14.0
_ROW_WIDTH_MAX: Final = 1_500.0  # branches go on in a second row where they would get wider than this
_TEXT_MOST: Final = 300  # characters looked at before wrapping; no box holds as many

# A heavier edge is drawn shorter and straighter: the main flow runs down the page, the way out at an error beside it.
_WEIGHTS: Final = {"next": 4.0, "choice": 3.0, "default": 2.0, "catch": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A node's texts, broken into lines."""

    name: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Of all lines, one under another."""
        badges = BADGE_HEIGHT + BADGE_ABOVE if self.badges else 0.0
        return len(self.name) * NAME_LEADING + len(self.detail) * DETAIL_LEADING + badges

    @property
    def width(self) -> float:
        """Of the widest line."""
        names = (width(line, NAME_SIZE, semibold=True) for line in self.name)
        details = (width(line, DETAIL_SIZE) for line in self.detail)
        badges = sum(map(badge_width, self.badges)) + BADGE_GAP * max(0, len(self.badges) - 1)
        return max(*names, *details, badges, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedNode:
    """A node with its box; a container's lanes hold what is inside it."""

    node: Node
    box: Box
    words: Words
    lanes: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLabel:
    """An edge's label."""

    box: Box
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedEdge:
    """An edge as a line of horizontal and vertical pieces, from the source's border to the target's."""

    edge: Edge
    points: tuple[Point, ...]
    label: PlacedLabel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph with everything in its place."""

    box: Box
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The part of a container that holds one of its flows."""

    box: Box
    drawing: Drawing


def badge_width(badge: str) -> float:
    """How wide a badge is, with its rounded ends."""
    return width(badge, BADGE_SIZE) + 12


def drawing_of(whole: Graph) -> Drawing:
    """Lays out a graph and all graphs nested in it. The drawing's box starts at (0, 0)."""
    return _drawing(whole, outermost=True)


def _drawing(flow: Graph, *, outermost: bool) -> Drawing:
    nodes = [_sized(node, outermost=outermost) for node in flow.nodes]
    labels = [_label_lines(edge) for edge in flow.edges]
    index = {placed.node.id: position for position, placed in enumerate(nodes)}
    links = [
        Link(
            source=index[edge.source],
            target=index[edge.target],
            weight=_WEIGHTS[edge.kind],
            back=edge.back,
            label=_label_size(lines) if lines else None,
        )
        for edge, lines in zip(flow.edges, labels, strict=True)
    ]
    boxes, routes = laid_out([Size(placed.box.width, placed.box.height) for placed in nodes], links)
    placed_nodes = tuple(_moved_node(placed, box.x, box.y) for placed, box in zip(nodes, boxes, strict=True))
    placed_edges = tuple(
        PlacedEdge(
            edge=edge,
            points=route.points,
            label=None if route.label is None else PlacedLabel(box=route.label, lines=lines),
        )
        for edge, route, lines in zip(flow.edges, routes, labels, strict=True)
    )
    extent = _extent(placed_nodes, placed_edges)
    return _moved(Drawing(box=extent, nodes=placed_nodes, edges=placed_edges), -extent.x, -extent.y)


def _sized(node: Node, *, outermost: bool) -> PlacedNode:
    """The node with the box it needs, at (0, 0), and whatever is inside in place."""
    if node.kind in {"Start", "End"}:
        wide, high = _MARKER if outermost else _INNER_MARKER
        return PlacedNode(node=node, box=Box(x=0, y=0, width=wide, height=high), words=Words())
    if node.flows:
        return _sized_container(node)
    words = _words(node, _TEXT_ROOM)
    wide = max(_CARD_WIDTH_MIN, BAND + _TEXT_LEFT + words.width + _TEXT_RIGHT)
    high = max(_CARD_HEIGHT_MIN, words.height + 2 * _CARD_PADDING)
    return PlacedNode(node=node, box=Box(x=0, y=0, width=_even(wide), height=_even(high)), words=words)


def _sized_container(node: Node) -> PlacedNode:
    drawings = [_drawing(flow, outermost=False) for flow in node.flows]
    widths = [drawing.box.width + 2 * _LANE_PADDING for drawing in drawings]
    rows = _rows(widths)
    row_widths = [sum(widths[i] for i in row) + _LANE_GAP * (len(row) - 1) for row in rows]
    words = _words(node, max(*row_widths, BAND + _TEXT_LEFT + _TEXT_ROOM) - BAND - _TEXT_LEFT)
    inside = _even(max(*row_widths, BAND + _TEXT_LEFT + words.width))
    y = _CONTAINER_PADDING + max(BAND, words.height) + _CONTAINER_PADDING
    lanes: list[Lane] = []
    for row, row_width in zip(rows, row_widths, strict=True):
        high = max(drawings[i].box.height for i in row) + 2 * _LANE_PADDING
        # What the header or a longer row leaves over is shared out, so that lanes fill their container.
        spare = (inside - row_width) / len(row)
        x = _CONTAINER_PADDING
        for i in row:
            box = Box(x=x, y=y, width=widths[i] + spare, height=high)
            lanes.append(Lane(box=box, drawing=_moved(drawings[i], x + _LANE_PADDING + spare / 2, y + _LANE_PADDING)))
            x = box.right + _LANE_GAP
        y += high + _LANE_GAP
    size = Box(x=0, y=0, width=inside + 2 * _CONTAINER_PADDING, height=_even(y - _LANE_GAP + _CONTAINER_PADDING))
    return PlacedNode(node=node, box=size, words=words, lanes=tuple(lanes))


def _rows(widths: Sequence[float]) -> list[list[int]]:
    """Which lanes stand side by side: all of them, or rows of about equal length where one row would get too long."""
    whole = sum(widths) + _LANE_GAP * (len(widths) - 1)
    limit = max(_ROW_WIDTH_MAX, 1.4 * max(widths), whole / math.ceil(whole / _ROW_WIDTH_MAX) * 1.1)
    rows: list[list[int]] = [[]]
    used = 0.0
    for index, wide in enumerate(widths):
        if rows[-1] and used + wide > limit:
            rows.append([])
            used = 0.0
        rows[-1].append(index)
        used += wide + _LANE_GAP
    return rows


def _words(node: Node, room: float) -> Words:
    badges: list[str] = []
    used = 0.0
    for badge in map(clean, node.badges):
        if badges and used + badge_width(badge) > room:
            break
        badges.append(badge)
        used += badge_width(badge) + BADGE_GAP
    return Words(
        name=wrapped(clean(node.name), NAME_SIZE, room=room, most=_NAME_LINES_MAX, semibold=True),
        detail=wrapped(shortened(clean(node.summary), _TEXT_MOST), DETAIL_SIZE, room=room, most=_DETAIL_LINES_MAX),
        badges=tuple(badges),
    )


def _label_lines(edge: Edge) -> tuple[str, ...]:
    lines: list[str] = []
    for number, label in enumerate(edge.alternatives()):
        text = shortened(clean(label), _TEXT_MOST)
        more = wrapped(text, LABEL_SIZE, room=_LABEL_ROOM, most=_RULE_LINES_MAX)
        last = number == len(edge.labels) - 1
        if len(lines) + len(more) > _LABEL_LINES_MAX - (0 if last else 1):
            lines.append(f"… and {len(edge.labels) - number} more")
            break
        lines.extend(more)
    return tuple(lines)


def _label_size(lines: tuple[str, ...]) -> Size:
    return Size(_even(max(width(line, LABEL_SIZE) for line in lines) + 8), len(lines) * LABEL_LEADING + 4)


def _even(pixels: float) -> int:
    """The next even number: centres then lie on whole pixels, and lines between them are straight."""
    return 2 * math.ceil(pixels / 2)


def _extent(nodes: Iterable[PlacedNode], edges: Iterable[PlacedEdge]) -> Box:
    boxes = [placed.box for placed in nodes]
    for edge in edges:
        boxes.extend(Box(x=x, y=y, width=0, height=0) for x, y in edge.points)
        if edge.label is not None:
            boxes.append(edge.label.box)
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return Box(x=left, y=top, width=right - left, height=bottom - top)


def _moved(drawing: Drawing, dx: float, dy: float) -> Drawing:
    return Drawing(
        box=drawing.box.moved(dx, dy),
        nodes=tuple(_moved_node(node, dx, dy) for node in drawing.nodes),
        edges=tuple(_moved_edge(edge, dx, dy) for edge in drawing.edges),
    )


def _moved_node(placed: PlacedNode, dx: float, dy: float) -> PlacedNode:
    lanes = tuple(Lane(box=lane.box.moved(dx, dy), drawing=_moved(lane.drawing, dx, dy)) for lane in placed.lanes)
    return replace(placed, box=placed.box.moved(dx, dy), lanes=lanes)


def _moved_edge(placed: PlacedEdge, dx: float, dy: float) -> PlacedEdge:
    label = None if placed.label is None else replace(placed.label, box=placed.label.box.moved(dx, dy))
    return replace(placed, points=tuple((x + dx, y + dy) for x, y in placed.points), label=label)
