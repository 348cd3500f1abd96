"""Where boxes and lines go: graphlay's layered layout, with the labels of lines as boxes of their own.

A label that is a box between its line's ends is on its line for sure and can overlap nothing; labels put beside
finished lines drifted up to a whole row away from them in full pictures. Knows rectangles and lines, not states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

Point: TypeAlias = tuple[float, float]


class LayoutUnavailable(RuntimeError):
    """The layout library is not there: it has no package for this platform, or was left out."""

    def __init__(self) -> None:
        super().__init__(
            "an SVG needs the package graphlay, which is not installed (pip install graphlay); "
            "the formats mermaid and dot need no package"
        )


class Size(NamedTuple):
    """Pixels."""

    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; `x` and `y` are its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right border."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the bottom border."""
        return self.y + self.height

    def moved(self, dx: float, dy: float) -> Box:
        """The same size elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A line to be drawn from one box to another, or back to the same.

    Attributes:
        source: Index of a box.
        target: Index of a box.
        weight: More than 0; a heavier line is drawn shorter and straighter.
        back: It runs against the flow.
        label: What its label needs.
    """

    source: int
    target: int
    weight: float
    back: bool
    label: Size | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of horizontal and vertical pieces, from border to border, and the place of its label on it."""

    points: tuple[Point, ...]
    label: Box | None


_OPTIONS: Final = {
    "direction": "topbottom",
    "spacing": {"layer_gap": 28.0, "node_gap": 30.0, "dummy_gap": 20.0, "port_gap": 14.0, "stub": 12.0},
    "routing": {"port_sides": "any"},
}


# Beyond this many lines in one flow fewer orders are tried: 100 states with lines between any two of them then take
# 0.5 s instead of 1.1 s, and pictures of published definitions of that size look the same.
_CAREFUL_EDGES_MAX: Final = 80

# How far from its middle, in pixels of half its width, the two lines of a loop meet their label.
_LOOP_WIDTH: Final = 16.0


def laid_out(sizes: Sequence[Size], links: Sequence[Link]) -> tuple[list[Box], list[Route]]:
    """A box per size and a route per link, in the given order; coordinates may be negative.

    No two boxes overlap, labels included. A link that does not run back goes downwards.

    Raises:
        LayoutUnavailable: graphlay is not installed.
    """
    try:
        import graphlay
    except ImportError:
        raise LayoutUnavailable from None

    nodes = [_node(index, size) for index, size in enumerate(sizes)]
    edges: list[dict[str, Any]] = []
    for link in links:
        if link.label is None:
            edges.append(_edge(link.source, link.target, link.weight, back=link.back and link.source != link.target))
            continue
        label = len(nodes)
        nodes.append(_node(label, link.label))
        if link.source == link.target:
            # Down to its label, which hangs below the box, and up again.
            aside = min(0.5, _LOOP_WIDTH / link.label.width)
            down = _edge(link.source, label, link.weight, back=False, target_port=_port("top", -aside))
            up = _edge(label, link.target, link.weight, back=True, source_port=_port("top", aside))
            edges += [down, up]
        else:
            # Straight through the label's middle, upwards when the line runs back.
            entry, leaving = ("bottom", "top") if link.back else ("top", "bottom")
            edges.append(_edge(link.source, label, link.weight, back=link.back, target_port=_port(entry, 0.0)))
            edges.append(_edge(label, link.target, link.weight, back=link.back, source_port=_port(leaving, 0.0)))
    options = _OPTIONS if len(edges) <= _CAREFUL_EDGES_MAX else {**_OPTIONS, "effort": "fast"}
    answer = graphlay.layout({"nodes": nodes, "edges": edges}, preset="process_map", options=options).raw
    boxes = [_box(node) for node in answer["nodes"]]
    labels = iter(boxes[len(sizes) :])
    edges_placed = iter(answer["edges"])
    return boxes[: len(sizes)], [_route(link, edges_placed, labels) for link in links]


def _node(index: int, size: Size) -> dict[str, Any]:
    # Ties are decided by key: with these, by the order in which the boxes were given.
    return {"size": {"width": size.width, "height": size.height}, "key": f"{index:06}"}


def _edge(source: int, target: int, weight: float, *, back: bool, **ports: Any) -> dict[str, Any]:
    return {"source": source, "target": target, "weight": weight, "reverse_for_ranking": back, **ports}


def _port(side: str, t: float) -> dict[str, Any]:
    """Where on a border a line ends; `t` is 0 in the middle, -1 and 1 at the corners."""
    return {"offset": {"side": side, "t": t}}


def _box(node: Any) -> Box:
    center, size = node["center"], node["size"]
    width, height = size["width"], size["height"]
    return Box(x=center["x"] - width / 2, y=center["y"] - height / 2, width=width, height=height)


def _route(link: Link, edges: Iterator[Any], labels: Iterator[Box]) -> Route:
    line = _points(next(edges))
    if link.label is None:
        return Route(points=line, label=None)
    label, rest = next(labels), _points(next(edges))
    if link.source == link.target:
        level = label.y + label.height / 2
        return Route(points=(*line[:-1], (line[-1][0], level), (rest[0][0], level), *rest[1:]), label=label)
    return Route(points=(*line[:-1], *rest[1:]), label=label)


def _points(edge: Any) -> tuple[Point, ...]:
    return tuple((point["x"], point["y"]) for point in edge["points"])
