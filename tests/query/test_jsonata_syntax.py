from __future__ import annotations

import pytest

from engine.query.jsonata_syntax import UnreadableExpression, read, with_arithmetic_as_calls


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("phone", ["phone"]),
        ("phone.number", ["phone"]),
        ("phone[0]", ["phone"]),
        ("aaa + bbb", ["aaa", "bbb"]),
        ("aaa + aaa", ["aaa"]),
        ("$.phone", ["$"]),
        ("$$", ["$$"]),
        ("{aaa: 1}", ["aaa"]),
        ("[aaa, 1..bbb]", ["aaa", "bbb"]),
        ("(1; aaa)", ["aaa"]),
        ("$x ? aaa : bbb", ["aaa", "bbb"]),
        ("$x := aaa", ["aaa"]),
        ("-aaa", ["aaa"]),
        ("sum($x)", ["sum"]),
        ("$sum(aaa)", ["aaa"]),
        ("$x ~> $f(aaa)", ["aaa"]),
        ("$map($x, function($v) { b })", ["b"]),
        ("`and more`", ["and more"]),
        ("and and or", ["and", "or"]),
        ("aaa in bbb", ["aaa", "bbb"]),
        ("aaa{b: c}", ["aaa"]),
        ("aaa^(b, >c)", ["aaa"]),
        ("$states.input.items[price > 3].name", []),
        ("$states.input.items.(price * $)", []),
        ("$states.input.items.{name: price}", []),
        ("$states.input.items^(<price)", []),
        ("$states.input.items{name: $sum(price)}", []),
        ("$states.input.$uppercase(name)", []),
        ("$states.input ~> |items|{'a': price}, 'b'|", []),
        ("$map($x, function($v, $i) <n-n?:n> { $v * $i })", []),
        ("$x@$a.b#$i.c", []),
        ("/* phone */ 'phone' & \"phone\"", []),
        ("$match($x, /phone/i)", []),
        ("$x / 2 / $y", []),
        ("$f(?, 1)", []),
        ("*", []),
        ("true and null or false", []),
    ],
)
def test_what_stands_at_the_top_level(source: str, names: list[str]) -> None:
    assert [place.name for place in read(source).references] == names


def test_places_count_characters() -> None:
    references = read("'é' & aaa & $sum(bbb)").references
    assert [place.offset for place in references] == [6, 17]


def test_members_of_states_are_found_wherever_they_stand() -> None:
    members = read("$map($x, function($v) { $states.result[0].a }) & $states.errorOutput.Cause").members
    assert [(place.name, place.offset) for place in members] == [("result", 24), ("errorOutput", 49)]


def test_variables_are_all_names_behind_a_dollar() -> None:
    assert read("$sum($x) + ($y := 1; $y)").variables == {"sum", "x", "y"}


def test_assignments_and_later_operators_are_found() -> None:
    syntax = read("($a := 1; $b := $a ?: 2; $c ?? 3)")
    assert [place.name for place in syntax.assignments] == ["a", "b"]
    assert [place.name for place in syntax.operators_2_1] == ["?:", "??"]


def test_a_long_chain_is_read_and_deep_nesting_is_refused() -> None:
    assert read("+".join(["a"] * 5000)).references[0].name == "a"
    with pytest.raises(UnreadableExpression, match="nested too deeply"):
        read("(" * 500 + "1" + ")" * 500)


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("1/0", '$f("/",(1),(0))'),
        ("1 + 2*3", '$f("+",(1 ),( $f("*",(2),(3))))'),
        ("1 - -1", '$f("-",(1 ),( -1))'),
        ("$x.(a/b)", '$x.($f("/",(a),(b)))'),
        ('$parseInteger($x, "0")', '(function($n){$n != $n ? "NaN" : $n})($parseInteger($x, "0"))'),
        ("'1/0'", "'1/0'"),
    ],
)
def test_arithmetic_is_rewritten_as_calls(source: str, rewritten: str) -> None:
    assert with_arithmetic_as_calls(source, "f") == rewritten
