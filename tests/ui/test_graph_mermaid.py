"""The Mermaid text. The whole corpus and 400 odd names were also read back by Mermaid 11 itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ui.graph import every_node, graph
from engine.ui.graph_mermaid import to_mermaid
from engine.ui.graph_text import clean
from tests.ui.machines import chain, everything, machine, real_machines

QUOTED = r'"[^"]*"'
NODE = re.compile(rf"\s*(n\d+)(?:\(\[|\[|\(|\{{\{{|\{{)({QUOTED})(?:\]\)|\]|\)|\}}\}}|\}})(?:::asl\w+|:::asl\w+)?")
CONTAINER = re.compile(rf"\s*subgraph (n\d+(?:_\d+)?)\[({QUOTED})\]")
EDGE = re.compile(rf"\s*(n\d+) (?:-->|-\.->)(?:\|({QUOTED})\|)? (n\d+)")
OTHER = re.compile(
    r"flowchart TB|\s*direction TB|\s*end|\s*class n\d+ asl\w+|\s*classDef asl\w+ [\w:#,-]+|---|title: \".*\""
)


def parts(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Labels by node and the edges; fails on a line that is neither."""
    labels: dict[str, str] = {}
    edges = []
    for line in text.splitlines():
        if found := NODE.fullmatch(line) or CONTAINER.fullmatch(line):
            labels[found[1]] = found[2][1:-1]
        elif found := EDGE.fullmatch(line):
            edges.append((found[1], found[3]))
        else:
            assert OTHER.fullmatch(line), line
    return labels, edges


def shown(label: str) -> str:
    """The first line of a label as Mermaid shows it."""
    return re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label.split("<br/>")[0])


def test_every_state_and_edge_of_real_definitions_is_written():
    for id_, program in real_machines().items():
        whole = graph(program, title=id_)
        labels, edges = parts(to_mermaid(whole))
        nodes = list(every_node(whole))
        assert {node.id: shown(labels[node.id]) for node in nodes} == {node.id: clean(node.name) for node in nodes}
        flows = [whole, *(flow for node in nodes for flow in node.flows)]
        assert sorted(edges) == sorted((edge.source, edge.target) for flow in flows for edge in flow.edges), id_


def test_subgraphs_nest_and_are_closed():
    depth, deepest = 0, 0
    for line in map(str.strip, to_mermaid(graph(everything())).splitlines()):
        depth += line.startswith("subgraph ") - (line == "end")
        deepest = max(deepest, depth)
        assert depth >= 0
    assert (depth, deepest) == (0, 4)


def test_catch_edges_are_dotted_and_choices_are_labelled():
    text = to_mermaid(graph(everything()))
    assert re.search(r'-\.->\|"States\.ALL"\| ', text)
    assert '-->|"$.sure = false<br/>or $.tries #60; 3"| ' in text
    assert '-->|"otherwise"| ' in text


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ('say "hi"', "say #34;hi#34;"),
        ("#35; a;b", "#35;35#59; a#59;b"),
        ("a<br>b", "a#60;br#62;b"),
        ("a|b]c}d", "a#124;b#93;c#125;d"),
        ("`code` *bold*", "#96;code#96; #42;bold#42;"),
        ("snake_case _it_", "snake_case #95;it#95;"),
        ("1. First", "1#46; First"),
        ("- item", "#45; item"),
        ("%%{init: {}}%%", "#37;#37;#123;init: #123;#125;#125;#37;#37;"),
        ("style a:b#c;", "style a#58;b#35;c#59;"),
        ("ﬂ°34¶ß", "#64258;°34#182;ß"),  # how Mermaid marks its escapes within
        ("流程 é 😀", "流程 é 😀"),
    ],
)
def test_what_mermaid_gives_a_meaning_to_is_written_as_a_number(name: str, escaped: str):
    labels, _ = parts(to_mermaid(graph(chain([name]))))
    assert labels["n2"] == f"{escaped}<br/>Pass"


def test_a_name_that_is_a_keyword_is_no_keyword():
    labels, _ = parts(to_mermaid(graph(machine({"end": {"Type": "Pass", "End": True}}))))
    assert labels["n2"] == "end<br/>Pass"


def test_the_title_is_quoted():
    assert to_mermaid(graph(chain(["A"]), title='a "b": c\n---')).startswith('---\ntitle: "a \\"b\\": c ---"\n---\n')


def test_the_same_graph_gives_the_same_text():
    assert to_mermaid(graph(everything())) == to_mermaid(graph(everything()))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4, unique=True))
def test_any_name_stays_inside_its_label(names: list[str]):
    whole = graph(chain(names))
    labels, edges = parts(to_mermaid(whole))
    assert [shown(labels[node.id]) for node in whole.nodes[1:-1]] == [clean(name) for name in names]
    assert len(edges) == len(names) + 1
