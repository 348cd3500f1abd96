"""The text for Graphviz, read back by Graphviz where it is installed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ui.graph import every_node, graph
from engine.ui.graph_dot import to_dot
from engine.ui.graph_text import clean
from tests.ui.machines import chain, everything, machine, real_machines
from tests.ui.test_graph_svg import ODD_NAMES

STRING = r'"(?:[^"\\]|\\.)*"'
VALUE = rf"(?:{STRING}|[\w.]+)"
ATTRIBUTES = rf"\[\w+={VALUE}(?: \w+={VALUE})*\]"
NODE = re.compile(rf"\s*(n\d+(?:_exit)?) {ATTRIBUTES}")
EDGE = re.compile(rf"\s*(n\d+)(_exit)? -> (n\d+)(_exit)?(?: ({ATTRIBUTES}))?")
CLUSTER = re.compile(r"\s*subgraph cluster_(n\d+)(?:_\d+)? \{")
OTHER = re.compile(rf"digraph \{{|\s*(?:graph|node|edge) {ATTRIBUTES}|\s*\}}")


def parts(text: str) -> tuple[set[str], list[tuple[str, str]]]:
    """Node ids and the edges that are drawn; fails on a line that is neither."""
    nodes, edges = set(), []
    for line in text.splitlines():
        if found := NODE.fullmatch(line) or CLUSTER.fullmatch(line):
            nodes.add(found[1].removesuffix("_exit"))
        elif found := EDGE.fullmatch(line):
            if found[5] != "[style=invis]":
                edges.append((found[1], found[3]))
        else:
            assert OTHER.fullmatch(line), line
    return nodes, edges


def names_in(text: str) -> list[str]:
    """The first line of each Pass state's label as Graphviz shows it."""
    labels = re.findall(rf"label=({STRING}) shape=box", text)
    return [html.unescape(re.sub(r"\\([^n])", r"\1", label[1:-1].split("\\nPass")[0])) for label in labels]


def graphviz(text: str, *options: str) -> str:
    dot = shutil.which("dot")
    if dot is None:
        pytest.skip("Graphviz is not installed (the program `dot`)")
    done = subprocess.run([dot, *options], input=text.encode(), capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


def test_every_state_and_edge_of_real_definitions_is_written():
    for id_, program in real_machines().items():
        whole = graph(program, title=id_)
        drawn, edges = parts(to_dot(whole))
        nodes = list(every_node(whole))
        assert drawn == {node.id for node in nodes}, id_
        flows = [whole, *(flow for node in nodes for flow in node.flows)]
        assert sorted(edges) == sorted((edge.source, edge.target) for flow in flows for edge in flow.edges), id_


def test_containers_are_clusters_and_lines_end_at_their_borders():
    text = to_dot(graph(everything()))
    assert "n1 -> n2 [lhead=cluster_n2]" in text
    assert re.search(r'n2_exit -> n\d+ \[style=dashed .*ltail=cluster_n2 label="States\.ALL"\]', text)
    assert text.count("subgraph cluster_") == 7


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('say "hi"', r"say \"hi\""),
        (r"back\slash \n \N", r"back\\slash \\n \\N"),
        ("<b>", "<b>"),
        ("&amp;", "&amp;amp;"),
        ("a\nb", "a b"),
    ],
)
def test_what_graphviz_gives_a_meaning_to_is_escaped(name: str, label: str):
    assert f'label="{label}\\nPass" ' in to_dot(graph(chain([name])))


def test_the_same_graph_gives_the_same_text():
    assert to_dot(graph(everything())) == to_dot(graph(everything()))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4, unique=True))
def test_any_name_stays_inside_its_label(names: list[str]):
    text = to_dot(graph(chain(names)))
    assert len(parts(text)[0]) == len(names) + 2
    assert names_in(text) == [clean(name) for name in names]


def test_graphviz_shows_odd_names_as_they_are():
    answer = json.loads(graphviz(to_dot(graph(chain(ODD_NAMES))), "-Tjson0"))
    passes = [node for node in answer["objects"] if node["shape"] == "box"]
    drawn = [
        html.unescape(node["label"]).replace(r"\"", '"').replace(r"\\", "\\").split(r"\nPass")[0] for node in passes
    ]
    assert drawn == [clean(name) for name in ODD_NAMES]


def test_graphviz_lays_out_what_has_everything_without_a_warning():
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Twice"}]
    flow = {"StartAt": "In", "States": {"In": {"Type": "Fail"}}}
    parallel = {"Type": "Parallel", "Branches": [flow], "Catch": catch, "End": True}
    assert "<svg" in graphviz(to_dot(graph(machine({"Twice": parallel}))), "-Tsvg")
    assert "<svg" in graphviz(to_dot(graph(everything(), title="t")), "-Tsvg")


def test_graphviz_reads_the_largest_real_definitions():
    largest = sorted(real_machines().values(), key=lambda program: -len(list(every_node(graph(program)))))[:5]
    for program in largest:
        assert "</svg>" in graphviz(to_dot(graph(program)), "-Tsvg")
