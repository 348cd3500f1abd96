"""A Graph as Mermaid text, which GitHub, GitLab and many editors draw.

Every text is quoted and every node has an id of ours, so no name can end a label or be taken for a keyword.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from engine.ui.graph_text import clean, shortened
from engine.ui.graph_theme import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ui.graph import Edge, Graph, Node

_TEXT_MOST: Final = 90  # a state's name has 80 characters at most
_LABELS_MOST: Final = 6

_SHAPES: Final = {
    "Start": ("([", "])"),
    "End": ("([", "])"),
    "Task": ("[", "]"),
    "Pass": ("(", ")"),
    "Choice": ("{", "}"),
    "Wait": ("{{", "}}"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}

_CLASSES: Final = {f"asl{kind}": colour for kind, colour in COLOURS.items()}

# Everything that Mermaid, its Markdown or HTML gives a meaning to. Characters beyond ASCII have none, but for the two
# that Mermaid marks its own escapes with.
_SPECIAL: Final = re.compile(
    r"[^\w\s.,:=+$?!/()'\-\u0080-\U0010ffff]|[ﬂ¶]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, which a_b is not
    r"|^[-+](?=\s)|(?<=\d)[.)](?=\s)"  # a list, which Mermaid refuses
)

# Mermaid takes `style…:…#…;` on one line for a colour and eats the semicolon, which would break an escape.
_STYLE_WORDS: Final = re.compile(r"style|classdef", re.IGNORECASE)


def to_mermaid(graph: Graph) -> str:
    """The picture as a Mermaid flowchart; nested flows are subgraphs."""
    lines = ["---", f"title: {json.dumps(clean(graph.title))}", "---"] if graph.title else []
    lines.append("flowchart TB")
    lines.extend(_flow_lines(graph, "    "))
    lines.extend(f"    classDef {kind} stroke:{colour},stroke-width:2px" for kind, colour in _CLASSES.items())
    return "\n".join(lines) + "\n"


def _flow_lines(flow: Graph, indent: str) -> Iterator[str]:
    for node in flow.nodes:
        yield from _container_lines(node, indent) if node.flows else _node_lines(node, indent)
    for edge in flow.edges:
        yield f"{indent}{edge.source} {_arrow(edge)} {edge.target}"


def _node_lines(node: Node, indent: str) -> Iterator[str]:
    before, after = _SHAPES[node.kind]
    named = f":::asl{node.kind}" if node.kind in COLOURS else ""
    yield f"{indent}{node.id}{before}{_label(node)}{after}{named}"


def _container_lines(node: Node, indent: str) -> Iterator[str]:
    yield f"{indent}subgraph {node.id}[{_label(node)}]"
    inner = indent + "    "
    yield f"{inner}direction TB"
    if len(node.flows) == 1:
        yield from _flow_lines(node.flows[0], inner)
    else:
        for number, flow in enumerate(node.flows, start=1):
            yield f'{inner}subgraph {node.id}_{number}["{number}"]'
            yield f"{inner}    direction TB"
            yield from _flow_lines(flow, inner + "    ")
            yield f"{inner}end"
    yield f"{indent}end"
    yield f"{indent}class {node.id} asl{node.kind}"


def _label(node: Node) -> str:
    if node.kind in {"Start", "End"}:
        return f'"{node.name}"'
    return _quoted(node.name, node.summary, *node.badges)


def _arrow(edge: Edge) -> str:
    line = "-.->" if edge.kind == "catch" else "-->"
    if not edge.labels:
        return line
    return f"{line}|{_quoted(*edge.alternatives(_LABELS_MOST))}|"


def _quoted(*texts: str) -> str:
    return '"' + "<br/>".join(map(_escaped, texts)) + '"'


def _escaped(text: str) -> str:
    """The text with `#59;` and the like for whatever could mean something else than itself."""
    plain = shortened(clean(text), _TEXT_MOST)
    escaped = _SPECIAL.sub(lambda match: "".join(f"#{ord(character)};" for character in match.group()), plain)
    return escaped.replace(":", "#58;") if _STYLE_WORDS.search(plain) else escaped
