from __future__ import annotations

import pytest

from engine.query.jsonpath_pattern import InvalidPattern
from engine.query.jsonpath_regex import compile_pattern


class TooMuch(Exception):
    pass


class Purse:
    """Counts the work that a match reports, and stops at a limit as a search does."""

    def __init__(self, limit=2_000_000):
        self.spent = 0
        self.limit = limit

    def __call__(self, work):
        self.spent += work
        if self.spent > self.limit:
            raise TooMuch


def matches(pattern, text, flags=""):
    return compile_pattern(pattern, flags)(text, Purse())


# Meanings from the documentation of java.util.regex.Pattern; `matches()` wants the whole text.
@pytest.mark.parametrize(
    ("pattern", "flags", "yes", "no"),
    [
        ("abc", "", "abc", "abcd"),
        ("a|bc|", "", "", "a|"),
        ("a?b*c+", "", "bbc", "ab"),
        ("a{2}", "", "aa", "aaa"),
        ("a{2,}", "", "aaaa", "a"),
        ("a{1,2}?b", "", "aab", "aaab"),
        ("(?:ab)+", "", "abab", "aba"),
        ("(?<name>a)b", "", "ab", "a"),
        ("[a-cx]", "", "x", "d"),
        ("[^a-c]", "", "d", "b"),
        ("[]a]", "", "]", "b"),
        ("[a-d&&[^bc]]", "", "d", "b"),
        ("[a[x-z]]", "", "y", "b"),
        (r"\d\D\w\W\s\S", "", "1aa. a", "11a. a"),
        (r"\d", "", "7", "٧"),
        (r"\d", "U", "٧", "x"),
        (r"\p{Alpha}\P{Digit}\p{Lu}", "", "xxÉ", "xxé"),
        (r"\Qa.b\E.", "", "a.bc", "axbc"),
        (r"\x41\u0042\0103\t", "", "ABC\t", "ABC "),
        (r"\R", "", "\r\n", "\n\n"),
        (".", "", "\t", "\u2028"),
        (".", "d", "\r", "\n"),
        (".", "s", "\n", "ab"),
        ("^a$", "", "a", "a\n"),
        ("ab", "i", "Ab", "Ac"),
        ("é", "iu", "É", "e"),
        ("é", "i", "é", "É"),
        ("a(?i)b(?-i)c", "", "aBc", "aBC"),
        ("a(?i:b)c", "", "aBc", "aBC"),
        ("(a(?i)b)c", "", "aBc", "aBC"),
        ("a #c\n b", "x", "ab", "a b"),
        ("(?!tmp).*", "", "data", "tmpdata"),
        (".*(?<=x)", "", "abx", "aby"),
        (r"(\w)\1", "", "aa", "ab"),
        (r"(?<c>\w)\k<c>", "", "aa", "ab"),
        (r".*\bfoo\b.*", "", "a foo b", "a food"),
        ("a++b", "", "aab", "aaa"),
        ("(?>a|ab)c", "", "ac", "abc"),
        ("😀{2}", "", "😀😀", "😀"),
    ],
)
def test_java_patterns(pattern, flags, yes, no):
    assert matches(pattern, yes, flags)
    assert not matches(pattern, no, flags)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "[a",
        "*a",
        "a**",
        "a{",
        "a{2,1}",
        "{",
        "\\",
        r"\y",
        r"\p{Klingon}",
        "[b-a]",
        "(?z)",
        "(?<1>a)",
        "[[[",
        r"\x4",
        r"\2",
        "(" * 99,
    ],
)
def test_what_is_no_java_pattern_is_refused(pattern):
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern, "")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "a*a*a*a*a*b", "(.*)(.*)(.*)b", "(a?){50}a{50}b"])
def test_patterns_that_ruin_a_backtracker_take_linear_work(pattern):
    purse = Purse()
    assert not compile_pattern(pattern, "")("a" * 2_000, purse)
    assert purse.spent < 100_000


def test_what_only_a_backtracker_can_match_is_charged_for_its_worst_case():
    with pytest.raises(TooMuch):
        matches("(?!x).*a.*b.*c.*", "a" * 2_000)
    with pytest.raises(InvalidPattern):
        compile_pattern("(?!x)(a+)+b", "")


@pytest.mark.parametrize("pattern", ["a{5001}", "(a{100}){100}", "(((a{30}){30}){30})"])
def test_huge_repetitions_are_refused(pattern):
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern, "")


def test_a_pattern_with_very_many_state_sets_still_answers():
    text = "ab" * 700
    assert matches(".*a.{12}", text) == (text[-13] == "a")
