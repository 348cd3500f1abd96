"""A state machine as the content of a picture: nodes, edges, nested graphs. Pure data, no looks.

`graph_mermaid`, `graph_dot` and `graph_svg` each turn a Graph into text. All three are deterministic: the same
definition gives the same text, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from engine.asl.program import (
    ChoiceState,
    FailState,
    MapState,
    ParallelState,
    PassState,
    SucceedState,
    TaskState,
    WaitState,
    flows_of,
)
from engine.ui.graph_labels import catch_label, catch_note, describe, rule_label, rule_note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.program import Flow, State, StateType

NodeKind: TypeAlias = "StateType | Literal['Start', 'End']"
EdgeKind: TypeAlias = Literal["next", "choice", "default", "catch"]

Status: TypeAlias = Literal["succeeded", "failed", "caught", "running", "aborted"]
"""How a state fared in one execution; `caught`: it failed and a Catcher took over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A state, or the marker of a flow's start or end.

    Attributes:
        id: Unique in the whole picture and safe in every format: `n` and a number, in the order of the definition.
        kind: The state's type; `Start` and `End` are markers.
        name: The state's name, which is unique in the whole machine; `Start` or `End` for a marker.
        detail: What the state does in a few words, such as `sqs:sendMessage` or `10 min`; may be empty.
        badges: Short remarks, such as `Retry ×3` or `waits for token`.
        notes: Sentences for who looks closer: the comment, each Retrier.
        flows: The graphs inside: a Parallel's branches, a Map's item processor.
        distributed: The state is a Distributed Map.
    """

    id: str
    kind: NodeKind
    name: str
    detail: str = ""
    badges: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    flows: tuple[Graph, ...] = ()
    distributed: bool = False

    @property
    def summary(self) -> str:
        """The type and what it does in short; a Task's action alone, which says that it is one."""
        if self.kind == "Task" and self.detail:
            return self.detail
        kind = "Distributed Map" if self.distributed else self.kind
        return f"{kind} · {self.detail}" if self.detail else kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A transition between two nodes of the same graph.

    Attributes:
        source: Node id.
        target: Node id.
        kind: Where the transition comes from.
        labels: One text per Choice rule or Catcher that takes this way, in their order; those with one target share an
            edge.
        notes: The same rules and Catchers in full.
        back: It closes a loop: the target is on the way that led from the start to the source.
    """

    source: str
    target: str
    kind: EdgeKind
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    back: bool = False

    def alternatives(self, most: int | None = None) -> tuple[str, ...]:
        """The labels as lines to read in turn: `$.x > 5`, `or $.y = true`; after `most` of them how many are left."""
        texts = tuple(f"or {label}" if number else label for number, label in enumerate(self.labels))
        if most is None or len(texts) <= most:
            return texts
        return (*texts[:most], f"… and {len(texts) - most} more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One flow: the whole machine, a branch, or an item processor. The first node is the start marker."""

    title: str | None = None
    comment: str | None = None
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(program: Flow, *, title: str | None = None) -> Graph:
    """The picture's content for a state machine (or any flow). `title` is the heading, usually the machine's name."""
    return _flow_graph(program, title, _Ids())


def every_node(whole: Graph) -> Iterator[Node]:
    """The nodes of a graph and of all graphs nested in it; a container comes before what it contains."""
    for node in whole.nodes:
        yield node
        for inner in node.flows:
            yield from every_node(inner)


@dataclass(slots=True)
class _Ids:
    """Numbers nodes through all nested graphs."""

    taken: int = 0

    def next(self) -> str:
        self.taken += 1
        return f"n{self.taken}"


@dataclass(slots=True)
class _Ways:
    """The transitions of one flow, those with the same ends and kind folded into one."""

    texts: dict[tuple[str, str, EdgeKind], list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, source: str, target: str, kind: EdgeKind, label: str = "", note: str = "") -> None:
        texts = self.texts.setdefault((source, target, kind), [])
        if label:
            texts.append((label, note))

    def edges(self, start: str) -> tuple[Edge, ...]:
        back = _closing_loops(start, [(source, target) for source, target, _ in self.texts])
        return tuple(
            Edge(
                source=source,
                target=target,
                kind=kind,
                labels=tuple(label for label, _ in texts),
                notes=tuple(note for _, note in texts),
                back=(source, target) in back,
            )
            for (source, target, kind), texts in self.texts.items()
        )


_START, _END = "Start", "End"


def _flow_graph(flow: Flow, title: str | None, ids: _Ids) -> Graph:
    start = Node(id=ids.next(), kind="Start", name=_START)
    states = {name: _state_node(state, ids) for name, state in flow.states.items()}
    end = Node(id=ids.next(), kind="End", name=_END)
    ways = _Ways()
    ways.add(start.id, states[flow.start_at].id, "next")
    for name, state in flow.states.items():
        _add_ways(ways, states, name, state, end.id)
    edges = ways.edges(start.id)
    ends = (end,) if any(edge.target == end.id for edge in edges) else ()
    return Graph(title=title, comment=flow.comment, nodes=(start, *states.values(), *ends), edges=edges)


def _state_node(state: State, ids: _Ids) -> Node:
    own_id = ids.next()
    words = describe(state)
    return Node(
        id=own_id,
        kind=words.kind,
        name=state.name,
        detail=words.detail,
        badges=words.badges,
        notes=words.notes,
        flows=tuple(_flow_graph(inner, None, ids) for inner in flows_of(state)),
        distributed=isinstance(state, MapState) and state.item_processor.mode == "DISTRIBUTED",
    )


def _add_ways(ways: _Ways, states: dict[str, Node], name: str, state: State, end: str) -> None:
    here = states[name].id
    match state:
        case ChoiceState():
            for rule in state.choices:
                ways.add(here, states[rule.next].id, "choice", rule_label(rule), rule_note(rule))
            if state.default is not None:
                ways.add(here, states[state.default].id, "default", "otherwise", "Otherwise")
        case PassState() | WaitState() | TaskState() | ParallelState() | MapState():
            ways.add(here, end if state.next is None else states[state.next].id, "next")
        case SucceedState():
            ways.add(here, end, "next")
        case FailState():
            pass  # its own picture says that nothing follows
        case _:
            assert_never(state)
    if isinstance(state, TaskState | ParallelState | MapState):
        for catcher in state.catch:
            ways.add(here, states[catcher.next].id, "catch", catch_label(catcher), catch_note(catcher))


def _closing_loops(start: str, ways: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """The ways that lead back to a node still being explored, depth first in the order of the definition.

    A layout left to guess turns round whichever edge costs least; a reader takes the one that the author wrote as
    the way back.
    """
    following: dict[str, list[str]] = {}
    for source, destination in ways:
        following.setdefault(source, []).append(destination)
    back: set[tuple[str, str]] = set()
    seen, open_nodes = {start}, {start}
    trail = [(start, iter(following.get(start, ())))]
    while trail:
        node, targets = trail[-1]
        target = next(targets, None)
        if target is None:
            trail.pop()
            open_nodes.remove(node)
        elif target in open_nodes:
            back.add((node, target))
        elif target not in seen:
            seen.add(target)
            open_nodes.add(target)
            trail.append((target, iter(following.get(target, ()))))
    return back
