"""Where things are: nothing overlaps, what is inside stays inside, lines keep clear of boxes."""

from __future__ import annotations

import sys
import time
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import pytest

from engine.ui.graph import graph
from engine.ui.graph_layers import Link, Size, laid_out
from engine.ui.graph_layout import drawing_of
from engine.ui.graph_svg import to_svg
from tests.ui.machines import chain, everything, machine, real_machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ui.graph_layers import Box, Point
    from engine.ui.graph_layout import Drawing, PlacedNode

CLOSE = 0.01  # pixels that rounding may take


def overlap(one: Box, other: Box) -> bool:
    return (
        min(one.right, other.right) - max(one.x, other.x) > CLOSE
        and min(one.bottom, other.bottom) - max(one.y, other.y) > CLOSE
    )


def inside(inner: Box, outer: Box) -> bool:
    return (
        inner.x >= outer.x - CLOSE
        and inner.y >= outer.y - CLOSE
        and inner.right <= outer.right + CLOSE
        and inner.bottom <= outer.bottom + CLOSE
    )


def crosses(start: Point, end: Point, box: Box) -> bool:
    """Whether a horizontal or vertical line runs through a box, not along its border."""
    return (
        min(start[0], end[0]) < box.right - CLOSE
        and max(start[0], end[0]) > box.x + CLOSE
        and min(start[1], end[1]) < box.bottom - CLOSE
        and max(start[1], end[1]) > box.y + CLOSE
    )


def drawings_of(drawing: Drawing) -> Iterator[Drawing]:
    yield drawing
    for node in drawing.nodes:
        for lane in node.lanes:
            yield from drawings_of(lane.drawing)


def placed(drawing: Drawing, name: str) -> PlacedNode:
    return next(node for inner in drawings_of(drawing) for node in inner.nodes if node.node.name == name)


def check(drawing: Drawing) -> None:
    for flow in drawings_of(drawing):
        boxes = [node.box for node in flow.nodes]
        labels = [edge.label.box for edge in flow.edges if edge.label is not None]
        assert not any(overlap(*pair) for pair in combinations([*boxes, *labels], 2))
        assert all(inside(box, flow.box) for box in [*boxes, *labels])
        for edge in flow.edges:
            steps = list(pairwise(edge.points))
            assert all(abs(a[0] - b[0]) < CLOSE or abs(a[1] - b[1]) < CLOSE for a, b in steps)
            assert not any(crosses(*step, box) for step in steps for box in boxes)
            others = [e.label.box for e in flow.edges if e.label is not None and e is not edge]
            assert not any(crosses(*step, box) for step in steps for box in others)
        for node in flow.nodes:
            assert not any(overlap(one.box, other.box) for one, other in combinations(node.lanes, 2))
            assert all(inside(lane.box, node.box) and inside(lane.drawing.box, lane.box) for lane in node.lanes)


def test_pictures_of_real_definitions_have_no_overlaps_and_no_line_through_a_box():
    for program in real_machines().values():
        check(drawing_of(graph(program)))


def test_a_picture_with_everything_keeps_the_rules():
    check(drawing_of(graph(everything())))


def test_children_lie_inside_their_parent_at_every_depth():
    drawing = drawing_of(graph(everything()))
    path = ["Each order", "At once", "Each line", "Reserve"]
    boxes = [placed(drawing, name).box for name in path]
    assert all(inside(inner, outer) and inner.width < outer.width for outer, inner in pairwise(boxes))


def test_lines_begin_and_end_at_the_borders_of_their_nodes():
    for flow in drawings_of(drawing_of(graph(everything()))):
        boxes = {node.node.id: node.box for node in flow.nodes}
        for edge in flow.edges:
            for (x, y), id_ in ((edge.points[0], edge.edge.source), (edge.points[-1], edge.edge.target)):
                box = boxes[id_]
                touches_side = min(abs(x - box.x), abs(x - box.right)) < CLOSE and box.y <= y <= box.bottom
                touches_top = min(abs(y - box.y), abs(y - box.bottom)) < CLOSE and box.x <= x <= box.right
                assert touches_side or touches_top


def test_the_flow_runs_downwards_and_loops_back_up():
    drawing = drawing_of(graph(everything()))
    assert placed(drawing, "Ask").box.bottom < placed(drawing, "Sure?").box.y
    assert placed(drawing, "Sure?").box.bottom < placed(drawing, "Sleep").box.y
    for flow in drawings_of(drawing):
        boxes = {node.node.id: node.box for node in flow.nodes}
        for edge in flow.edges:
            if not edge.edge.back:
                assert boxes[edge.edge.source].bottom < boxes[edge.edge.target].y


def test_a_label_lies_on_its_line():
    for flow in drawings_of(drawing_of(graph(everything()))):
        for edge in flow.edges:
            if edge.label is not None:
                steps = pairwise(edge.points)
                assert any(crosses(*step, edge.label.box) for step in steps)


def test_a_state_that_leads_to_itself_in_two_ways_keeps_its_labels_apart():
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f"},
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Again"}],
        "Next": "Which",
    }
    rules = [
        {"Variable": "$.n", "NumericEquals": 1, "Next": "Which"},
        {"Variable": "$.n", "NumericEquals": 2, "Next": "Z"},
    ]
    which = {"Type": "Choice", "Choices": rules, "Default": "Which"}
    check(drawing_of(graph(machine({"Again": task, "Which": which, "Z": {"Type": "Succeed"}}))))


def test_many_branches_stand_in_rows():
    branches = [{"StartAt": f"S{n}", "States": {f"S{n}": {"Type": "Pass", "End": True}}} for n in range(30)]
    drawing = drawing_of(graph(machine({"All": {"Type": "Parallel", "Branches": branches, "End": True}})))
    check(drawing)
    assert drawing.box.width < 2_000
    assert len({lane.box.y for lane in placed(drawing, "All").lanes}) > 1


def test_a_name_of_80_characters_widens_no_card_beyond_bounds():
    drawing = drawing_of(graph(chain(["W" * 80, "a " * 40, "short"])))
    assert max(node.box.width for node in drawing.nodes) < 260
    check(drawing)


def test_a_hundred_states_take_less_than_a_second():
    states = {
        f"Step {n}": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "f"},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            **({"Next": f"Step {n + 1}"} if n < 97 else {"Next": "Done"}),
        }
        for n in range(98)
    }
    program = machine({**states, "Done": {"Type": "Succeed"}, "Failed": {"Type": "Fail"}})
    begun = time.process_time()
    to_svg(graph(program))
    assert time.process_time() - begun < 1


def test_without_the_layout_library_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "graphlay", None)
    with pytest.raises(RuntimeError, match=r"pip install graphlay.*mermaid and dot need no package"):
        laid_out([Size(10, 10)], [])


def test_links_and_boxes_come_back_in_the_order_given():
    links = [
        Link(source=2, target=0, weight=1, back=False, label=Size(20, 10)),
        Link(source=0, target=1, weight=1, back=False, label=None),
    ]
    boxes, routes = laid_out([Size(30, 10), Size(40, 10), Size(50, 10)], links)
    assert [box.width for box in boxes] == [30, 40, 50]
    assert boxes[2].y < boxes[0].y < boxes[1].y
    assert routes[0].label is not None
    assert (routes[0].label.width, routes[0].label.height) == (20, 10)
    assert routes[1].label is None
