"""Carets stand under the place that is meant, whatever is on the line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli.excerpt import Excerpt, excerpt, line_and_column, lines_of


def shown(source: str, line: int, column: int, end_line: int, end_column: int, width: int = 100) -> Excerpt:
    return excerpt(lines_of(source), line, column, end_line=end_line, end_column=end_column, width=width)


def marked(found: Excerpt) -> str:
    """What stands above the carets, in a line where every character takes one cell."""
    start = found.carets.index("^")
    return found.text[start : start + found.carets.count("^")]


def test_carets_cover_the_span() -> None:
    assert shown('{\n  "Next": "Nope"\n}', 2, 11, 2, 17) == Excerpt(2, '  "Next": "Nope"', "          ^^^^^^")


def test_a_span_of_several_lines_is_marked_to_the_end_of_its_first() -> None:
    assert marked(shown('"A": {  \n  1\n}', 1, 6, 3, 2)) == "{"


def test_without_an_end_one_character_is_marked() -> None:
    assert excerpt(["abc"], 1, 2).carets == " ^"


def test_the_end_of_the_text_can_be_marked() -> None:
    assert excerpt(["{"], 1, 2).carets == " ^"


def test_a_line_after_the_last_is_empty() -> None:
    assert excerpt(["{"], 2, 1) == Excerpt(2, "", "^")


def test_a_tab_goes_to_the_next_stop() -> None:
    assert shown("\ta\tb", 1, 4, 1, 5) == Excerpt(1, "    a   b", "        ^")


def test_wide_characters_take_two_cells() -> None:
    assert shown('"日本": x', 1, 7, 1, 8) == Excerpt(1, '"日本": x', "        ^")


def test_combining_characters_take_none() -> None:
    assert shown("e\u0301x", 1, 3, 1, 4).carets == " ^"


def test_direction_marks_are_not_shown() -> None:
    assert shown("\u202eab", 1, 2, 1, 3) == Excerpt(1, "ab", "^")


def test_control_characters_are_replaced() -> None:
    assert shown("a\x1b[31mb", 1, 7, 1, 8) == Excerpt(1, "a\N{REPLACEMENT CHARACTER}[31mb", "      ^")


def test_a_carriage_return_at_the_end_is_not_shown() -> None:
    assert shown("ab\r\ncd", 1, 1, 1, 3).text == "ab"


@pytest.mark.parametrize("before", [0, 3, 500])
@pytest.mark.parametrize("after", [0, 3, 500])
def test_of_a_long_line_only_what_is_around_the_place_is_shown(before: int, after: int) -> None:
    found = shown("a" * before + "HERE" + "b" * after, 1, before + 1, 1, before + 5, width=60)
    assert len(found.text) <= 60
    assert marked(found) == "HERE"
    assert found.text.startswith("…") == (before == 500)
    assert found.text.endswith("…") == (after == 500)


def test_half_of_a_wide_character_at_the_cut_is_a_space() -> None:
    found = shown("日" * 100 + "HERE", 1, 101, 1, 105, width=61)
    assert found.text == "…" + "日" * 28 + "HERE"
    assert found.carets == " " * 57 + "^^^^"


@settings(max_examples=200, deadline=None)
@given(source=st.text(max_size=120), column=st.integers(1, 140), length=st.integers(0, 40), width=st.integers(1, 80))
def test_there_is_always_something_marked(source: str, column: int, length: int, width: int) -> None:
    found = excerpt(lines_of(source), 1, column, end_line=1, end_column=column + length, width=width)
    assert "^" in found.carets
    assert "\n" not in found.text


def test_an_offset_becomes_line_and_column() -> None:
    assert [line_and_column("ab\ncd", offset) for offset in (0, 2, 3, 5)] == [(1, 1), (1, 3), (2, 1), (2, 3)]
