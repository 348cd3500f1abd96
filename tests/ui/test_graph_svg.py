"""The SVG: well-formed, complete, readable without seeing it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ui.graph import every_node, graph
from engine.ui.graph_svg import to_svg
from engine.ui.graph_text import clean
from tests.ui.machines import chain, everything, real_machines

if TYPE_CHECKING:
    from engine.ui.graph import Graph

SVG = "{http://www.w3.org/2000/svg}"


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def edge_ends(whole: Graph) -> list[tuple[str, str]]:
    inner = [ends for node in whole.nodes for flow in node.flows for ends in edge_ends(flow)]
    return [*((edge.source, edge.target) for edge in whole.edges), *inner]


def box_of(state: ElementTree.Element) -> tuple[float, float, float, float]:
    rect = next(child for child in state if "asl-outline" in child.get("class", ""))
    x, y, wide, high = (float(rect.get(name, "nan")) for name in ("x", "y", "width", "height"))
    return x, y, x + wide, y + high


def test_every_state_and_edge_of_real_definitions_is_drawn_in_well_formed_xml():
    for id_, program in real_machines().items():
        whole = graph(program, title=id_)
        root = read(to_svg(whole))
        assert sorted(e.get("data-id", "") for e in root.iter() if e.get("data-id")) == sorted(
            node.id for node in every_node(whole)
        )
        assert {e.get("data-state") for e in of_class(root, "asl-state")} == {
            clean(node.name) for node in every_node(whole) if node.kind not in {"Start", "End"}
        }
        drawn = [(e.get("data-source"), e.get("data-target")) for e in of_class(root, "asl-edge")]
        assert sorted(drawn) == sorted(edge_ends(whole)), id_


def test_what_is_inside_a_container_is_inside_its_group_and_its_box():
    root = read(to_svg(graph(everything())))

    def visit(group: ElementTree.Element, box: tuple[float, float, float, float] | None) -> int:
        found = 0
        for child in group:
            if "asl-state" in child.get("class", "").split():
                x, y, right, bottom = box_of(child)
                if box is not None:
                    assert box[0] <= x
                    assert box[1] <= y
                    assert right <= box[2]
                    assert bottom <= box[3]
                found += 1 + visit(child, (x, y, right, bottom))
            elif child.tag == f"{SVG}g":
                found += visit(child, box)
        return found

    assert visit(root, None) == 10


def test_a_container_groups_the_states_of_its_flows():
    root = read(to_svg(graph(everything())))
    at_once = next(e for e in of_class(root, "asl-state") if e.get("data-state") == "At once")
    assert [e.get("data-state") for e in of_class(at_once, "asl-state")][1:] == [
        "Each line",
        "Reserve",
        "Ask",
        "Sure?",
        "Sleep",
        "Noted",
    ]
    assert len(of_class(at_once, "asl-lane")) == 3


def test_it_is_self_contained_and_has_no_scripts():
    svg = to_svg(graph(everything()))
    assert "<script" not in svg
    assert re.findall(r"(?:href|src|@import|url\()", svg) == []
    assert set(re.findall(r"https?://[^\"' <]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_it_can_be_read_aloud():
    root = read(to_svg(graph(everything(), title="orders")))
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "orders"
    assert desc.text == "A state machine with 10 states. Takes orders."


def test_it_follows_the_viewers_dark_mode():
    style = read(to_svg(graph(everything()))).find(f"{SVG}style")
    assert style is not None
    light, dark = (style.text or "").split("@media (prefers-color-scheme:dark)")
    for rule in (".asl-page{fill:", ".asl-card,.asl-sheet{fill:", ".asl-line{stroke:"):
        assert rule in light
        assert rule in dark


def test_kinds_of_edges_differ_in_looks():
    root = read(to_svg(graph(everything())))
    for kind, count in {"catch": 1, "default": 1, "choice": 2}.items():
        assert len(of_class(root, f"asl-{kind}-edge")) == count
    style = root.find(f"{SVG}style")
    assert style is not None
    assert ".asl-catch-edge .asl-line{stroke-dasharray:" in (style.text or "")


def test_labels_and_badges_are_there_to_read():
    texts = [element.text for element in read(to_svg(graph(everything()))).iter(f"{SVG}text")]
    for text in ("$.sure = false", "or $.tries < 3", "otherwise", "States.ALL", "Retry ×2", "waits for token"):
        assert text in texts


def test_tooltips_say_in_full_what_was_shortened():
    root = read(to_svg(graph(chain(["A" * 80 + "z", "b"]))))
    assert any((e.text or "").startswith("A" * 80 + "z") for e in root.iter(f"{SVG}title"))


def test_a_distributed_map_has_more_sheets_than_an_inline_one():
    root = read(to_svg(graph(everything())))

    def sheets(name: str) -> int:
        group = next(e for e in of_class(root, "asl-state") if e.get("data-state") == name)
        return sum("asl-sheet" in child.get("class", "") for child in group)

    assert sheets("Each order") > sheets("Each line") > sheets("At once") == 0


def test_the_same_graph_gives_the_same_bytes():
    assert to_svg(graph(everything(), title="t")) == to_svg(graph(everything(), title="t"))


def test_two_pictures_on_one_page_have_ids_of_their_own():
    one, other = (set(re.findall(r' id="([^"]+)"', to_svg(graph(chain([name]))))) for name in ("A", "B"))
    assert len(one) == len(other) == 2
    assert not one & other


@pytest.mark.parametrize("status", ["succeeded", "failed", "caught", "running", "aborted"])
def test_a_status_colours_its_state_marks_it_and_is_said(status: str):
    root = read(to_svg(graph(everything()), highlight={"Ask": status}))  # type: ignore[dict-item]
    (marked,) = of_class(root, f"asl-{status}")
    assert marked.get("data-state") == "Ask"
    assert len(of_class(root, "asl-status")) == 1
    assert len(of_class(root, "asl-untouched")) == 9
    desc, tooltip = root.find(f"{SVG}desc"), marked.find(f"{SVG}title")
    assert desc is not None
    assert tooltip is not None
    assert (desc.text or "").endswith(f"Ask: {status}.")
    assert (tooltip.text or "").endswith(f"Status: {status}")


def test_a_run_that_entered_nothing_is_not_a_picture_without_a_run():
    plain, empty = to_svg(graph(everything())), to_svg(graph(everything()), highlight={})
    assert "asl-untouched" not in plain.split("</style>")[1]
    assert "asl-untouched" in empty.split("</style>")[1]


ODD_NAMES = [
    "<b>&amp;\"'`|]}</b>",
    "]]>",
    "<!-- -->",
    "😀👩\u200d👩\u200d👧🏽",
    "مرحبا بالعالم",
    "\u202egnp.exe",
    "流程图状态名称" * 10,
    "\x00\x07\ud800\ufffe",
    "a\nb\tc",
    "x" * 80,
    " ",
]


def test_odd_names_are_escaped_and_kept():
    svg = to_svg(graph(chain(ODD_NAMES), title="<&>"))
    root = read(svg)
    assert [e.get("data-state") for e in of_class(root, "asl-state")] == [clean(name) for name in ODD_NAMES]
    assert svg.encode().decode() == svg


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4, unique=True), st.text(max_size=200))
def test_any_name_and_title_give_well_formed_xml(names: list[str], title: str):
    root = read(to_svg(graph(chain(names), title=title), highlight={names[0]: "failed"}))
    assert [e.get("data-state") for e in of_class(root, "asl-state")] == [clean(name) for name in names]
