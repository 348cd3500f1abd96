"""How texts are measured, broken and cleaned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ui.graph_text import clean, shortened, width, wrapped


def test_wide_letters_are_wider_than_narrow_ones():
    assert width("WWW", 12) > width("nnn", 12) > width("iii", 12)
    assert width("nnn", 12, semibold=True) > width("nnn", 12)
    assert width("流程", 12) > width("ab", 12)


def test_marks_and_joiners_add_no_width():
    assert width("e\u0301", 12) == width("e", 12)
    assert width("👩\u200d👩", 12) == 2 * width("👩", 12)


def test_lines_end_at_spaces_first():
    assert wrapped("Handle the failed payment", 13, room=100, most=4) == ("Handle the", "failed payment")


def test_a_long_word_is_broken_where_its_parts_begin():
    assert wrapped("ProcessPaymentRefund", 13, room=100, most=4) == ("Process", "PaymentRefund")
    assert wrapped("process_payment_refund", 13, room=110, most=4) == ("process_", "payment_refund")


def test_a_word_without_parts_is_broken_anywhere_but_inside_a_character():
    lines = wrapped("e\u0301" * 40, 13, room=100, most=9)
    assert len(lines) > 1
    assert all(line.startswith("e") and line.endswith("\u0301") for line in lines)


def test_what_does_not_fit_ends_in_an_ellipsis():
    lines = wrapped("one two three four five six", 13, room=60, most=2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")


def test_a_middle_dot_does_not_end_a_line():
    assert wrapped("lambda:invoke · reserve-stock", 11, room=110, most=3) == ("lambda:invoke", "reserve-stock")


@given(st.text(max_size=120), st.integers(1, 5), st.floats(20, 300))
def test_wrapped_lines_fit_and_lose_nothing_before_the_ellipsis(text: str, most: int, room: float):
    cleaned = clean(text)
    lines = wrapped(cleaned, 13, room=room, most=most)
    assert len(lines) <= most
    assert all(width(line, 13) <= room for line in lines)
    kept = "".join(lines).replace("·", "").replace(" ", "")
    whole = cleaned.replace("·", "").replace(" ", "")
    assert kept == whole or (kept.endswith("…") and whole.startswith(kept[:-1]))


@pytest.mark.parametrize("bad", ["\x00", "\x07", "\x7f", "\ud800", "\ufffe", "\uffff", "\ufdd0", "\u202e", "\u2066"])
def test_characters_that_no_picture_can_hold_are_replaced(bad: str):
    assert clean(f"a{bad}b") == "a\ufffdb"


def test_any_white_space_becomes_one_space():
    assert clean(" a\n\tb  c\u2028d ") == "a b c d"


def test_shortened_texts_have_at_most_so_many_characters():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdef", 5) == "abcd…"
    assert shortened("abc def", 5) == "abc…"
