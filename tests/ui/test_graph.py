"""What a picture contains, whatever it looks like."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from engine.asl.program import ChoiceState, FailState, SucceedState, flows_of
from engine.ui.graph import every_node, graph
from tests.ui.machines import everything, machine, real_machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.program import Flow, State
    from engine.ui.graph import Graph

PASS_ON = {"Type": "Pass", "End": True}


def states_of(flow: Flow) -> Iterator[State]:
    for state in flow.states.values():
        yield state
        for inner in flows_of(state):
            yield from states_of(inner)


def ways_of(flow: Flow) -> set[tuple[str, str]]:
    """All transitions as pairs of state names; `End` and `Start` stand for the markers of the flow."""
    ways = {("Start", flow.start_at)}
    for name, state in flow.states.items():
        match state:
            case ChoiceState():
                targets = [rule.next for rule in state.choices] + ([state.default] if state.default else [])
            case SucceedState():
                targets = ["End"]
            case FailState():
                targets = []
            case _:
                targets = [state.next or "End"]
        targets += [catcher.next for catcher in getattr(state, "catch", ())]
        ways |= {(name, target) for target in targets}
        for inner in flows_of(state):
            ways |= ways_of(inner)
    return ways


def graphs_of(whole: Graph) -> Iterator[Graph]:
    yield whole
    for node in whole.nodes:
        for inner in node.flows:
            yield from graphs_of(inner)


def edge_between(whole: Graph, source: str, target: str):
    names = {node.id: node.name for node in every_node(whole)}
    edges = [
        edge
        for flow in graphs_of(whole)
        for edge in flow.edges
        if (names[edge.source], names[edge.target]) == (source, target)
    ]
    assert len(edges) == 1
    return edges[0]


def node_named(whole: Graph, name: str):
    return next(node for node in every_node(whole) if node.name == name)


def test_every_state_of_real_definitions_is_a_node_once():
    for id_, program in real_machines().items():
        drawn = Counter(node.name for node in every_node(graph(program)) if node.kind not in {"Start", "End"})
        assert drawn == Counter(state.name for state in states_of(program)), id_


def test_every_transition_of_real_definitions_is_an_edge_and_nothing_else_is():
    for id_, program in real_machines().items():
        whole = graph(program)
        names = {node.id: node.name for node in every_node(whole)}
        drawn = {(names[edge.source], names[edge.target]) for flow in graphs_of(whole) for edge in flow.edges}
        assert drawn == ways_of(program), id_


def test_edges_stay_in_their_flow():
    for flow in graphs_of(graph(everything())):
        own = {node.id for node in flow.nodes}
        assert all({edge.source, edge.target} <= own for edge in flow.edges)


def test_ids_are_unique_through_all_nested_flows_and_plain():
    ids = [node.id for node in every_node(graph(everything()))]
    assert len(set(ids)) == len(ids)
    assert all(id_.isascii() and id_.isalnum() for id_ in ids)


def test_a_flow_that_only_fails_has_no_end_marker():
    whole = graph(machine({"Stop": {"Type": "Fail"}}))
    assert [node.kind for node in whole.nodes] == ["Start", "Fail"]


def test_rules_with_one_target_share_an_edge_and_keep_their_order():
    edge = edge_between(graph(everything()), "Sure?", "Sleep")
    assert edge.kind == "choice"
    assert edge.labels == ("$.sure = false", "$.tries < 3")
    assert edge.alternatives() == ("$.sure = false", "or $.tries < 3")


def test_more_alternatives_than_there_is_room_for_are_counted():
    choices = [{"Variable": "$.n", "NumericEquals": number, "Next": "A"} for number in range(9)]
    whole = graph(machine({"Which": {"Type": "Choice", "Choices": choices, "Default": "A"}, "A": PASS_ON}))
    edge = next(edge for edge in whole.edges if edge.kind == "choice")
    assert edge.alternatives(2) == ("$.n = 0", "or $.n = 1", "… and 7 more")
    assert len(edge.notes) == 9


def test_default_and_rule_with_one_target_are_two_edges():
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "A"}
    whole = graph(machine({"Which": {"Type": "Choice", "Choices": [rule], "Default": "A"}, "A": PASS_ON}))
    assert [edge.kind for edge in whole.edges] == ["next", "choice", "default", "next"]


def test_a_catcher_is_an_edge_with_its_error_names():
    edge = edge_between(graph(everything()), "Each order", "Give up")
    assert (edge.kind, edge.labels, edge.notes) == ("catch", ("States.ALL",), ("Catch States.ALL",))


def test_the_way_that_closes_a_loop_is_marked():
    whole = graph(everything())
    assert edge_between(whole, "Sleep", "Ask").back
    assert edge_between(whole, "Sure?", "Sure?").back
    assert not edge_between(whole, "Ask", "Sure?").back


def test_ways_that_meet_again_close_no_loop():
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "A"}
    states = {"Which": {"Type": "Choice", "Choices": [rule], "Default": "B"}, "A": {**PASS_ON}, "B": {**PASS_ON}}
    assert not any(edge.back for edge in graph(machine(states)).edges)


def test_a_distributed_map_is_told_from_an_inline_one():
    whole = graph(everything())
    assert node_named(whole, "Each order").distributed
    assert not node_named(whole, "Each line").distributed


def test_nesting_follows_the_definition():
    whole = graph(everything())
    (processor,) = node_named(whole, "Each order").flows
    at_once = node_named(processor, "At once")
    assert [[node.name for node in flow.nodes] for flow in at_once.flows] == [
        ["Start", "Each line", "End"],
        ["Start", "Ask", "Sure?", "Sleep", "Noted", "End"],
    ]


@pytest.mark.parametrize(
    ("name", "summary", "badges"),
    [
        ("Reserve", "lambda:invoke · reserve-stock", ()),
        ("Ask", "sqs:sendMessage · questions", ("waits for token",)),
        ("Sleep", "Wait · 1 min 30 s", ()),
        ("Sure?", "Choice", ()),
        ("Give up", "Fail · Orders.Lost", ()),
        ("At once", "Parallel · 2 branches", ()),
        ("Each line", "Map · items $.lines", ()),
        (
            "Each order",
            "Distributed Map · Express children · items from s3:getObject · at most 40 at once",
            ("Retry ×2",),
        ),
    ],
)
def test_a_state_says_what_it_does(name: str, summary: str, badges: tuple[str, ...]):
    node = node_named(graph(everything()), name)
    assert (node.summary, node.badges) == (summary, badges)


def test_title_and_comment_are_kept():
    whole = graph(everything(), title="orders")
    assert (whole.title, whole.comment) == ("orders", "Takes orders.")
