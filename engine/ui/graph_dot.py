"""A Graph in Graphviz's language, DOT. Nested flows are clusters.

Graphviz draws lines between nodes only, so a container has two invisible points inside it, one where lines arrive and
one where they leave, and `lhead` and `ltail` cut the lines off at its border.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.ui.graph_text import clean, shortened
from engine.ui.graph_theme import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ui.graph import Edge, Graph, Node

_TEXT_MOST: Final = 90  # a state's name has 80 characters at most
_LABELS_MOST: Final = 6
_FONT: Final = 'fontname="Helvetica,Arial,sans-serif"'

_SHAPES: Final = {
    "Start": "shape=oval style=filled fillcolor=gray25 fontcolor=white",
    "End": "shape=oval",
    "Task": "shape=box style=rounded",
    "Pass": "shape=box style=rounded",
    "Choice": "shape=diamond",
    "Wait": "shape=hexagon",
    "Succeed": "shape=box style=rounded peripheries=2",
    "Fail": "shape=box style=rounded peripheries=2",
}

_LINES: Final = {"next": "", "choice": "", "default": "", "catch": "style=dashed color=firebrick fontcolor=firebrick"}


def to_dot(graph: Graph) -> str:
    """The picture as a directed graph for Graphviz 2.42 and later."""
    lines = ["digraph {"]
    lines.append(f"    graph [rankdir=TB compound=true {_FONT} labelloc=t label={_quoted(graph.title or '')}]")
    lines.append(f"    node [{_FONT} fontsize=11]")
    lines.append(f"    edge [{_FONT} fontsize=9]")
    lines.extend(_flow_lines(graph, "    "))
    return "\n".join([*lines, "}", ""])


def _flow_lines(flow: Graph, indent: str) -> Iterator[str]:
    containers = {node.id for node in flow.nodes if node.flows}
    for node in flow.nodes:
        yield from _container_lines(node, indent) if node.flows else _node_lines(node, indent)
    for edge in flow.edges:
        yield f"{indent}{_edge(edge, containers)}"


def _node_lines(node: Node, indent: str) -> Iterator[str]:
    colour = f' color="{COLOURS[node.kind]}"' if node.kind in COLOURS else ""
    texts = [node.name, node.summary, *node.badges] if colour else [node.name]
    yield f"{indent}{node.id} [label={_quoted(*texts)} {_SHAPES[node.kind]}{colour}]"


def _container_lines(node: Node, indent: str) -> Iterator[str]:
    inner = indent + "    "
    yield f"{indent}subgraph cluster_{node.id} {{"
    style = "bold" if node.distributed else "solid"
    label = _quoted(node.name, node.summary, *node.badges)
    yield f'{inner}graph [label={label} style="rounded,{style}" color="{COLOURS[node.kind]}"]'
    yield f"{inner}{node.id} [shape=point style=invis]"
    yield f"{inner}{_exit(node.id)} [shape=point style=invis]"
    for number, flow in enumerate(node.flows, start=1):
        yield f"{inner}subgraph cluster_{node.id}_{number} {{"
        yield f'{inner}    graph [label="" style=dashed color=gray60]'
        yield from _flow_lines(flow, inner + "    ")
        yield f"{inner}}}"
        yield f"{inner}{node.id} -> {flow.nodes[0].id} [style=invis]"
        left = {edge.source for edge in flow.edges if not edge.back}
        for last in flow.nodes:
            if last.id not in left:
                yield f"{inner}{_exit(last.id) if last.flows else last.id} -> {_exit(node.id)} [style=invis]"
    yield f"{indent}}}"


def _edge(edge: Edge, containers: set[str]) -> str:
    tail = _exit(edge.source) if edge.source in containers else edge.source
    attributes = [_LINES[edge.kind]] if _LINES[edge.kind] else []
    if edge.source != edge.target:
        attributes.extend([f"ltail=cluster_{edge.source}"] if edge.source in containers else [])
        attributes.extend([f"lhead=cluster_{edge.target}"] if edge.target in containers else [])
    if edge.labels:
        attributes.append(f"label={_quoted(*edge.alternatives(_LABELS_MOST))}")
    return f"{tail} -> {edge.target}" + (f" [{' '.join(attributes)}]" if attributes else "")


def _exit(container: str) -> str:
    return f"{container}_exit"


def _quoted(*texts: str) -> str:
    """The texts as the lines of one label. Graphviz reads HTML entities and backslashes everywhere in it."""
    lines = (shortened(clean(text), _TEXT_MOST) for text in texts)
    escaped = (line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
