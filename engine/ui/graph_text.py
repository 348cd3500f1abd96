"""Text for pictures: how wide it will be, where it may be broken, and which characters no picture can hold.

No font is at hand when a picture is made, so widths come from a table of Helvetica's, which Arial and Liberation Sans
share. They are rounded up a little; a wider font makes a text tighter in its box, never a wrong picture.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ELLIPSIS = "…"

# Widths in thousandths of the font's size (Adobe's Helvetica metrics); what is not listed here is 556.
_WIDTHS = {
    character: width
    for width, characters in {
        191: "'",
        222: "ijl",
        260: "|",
        278: " !,./:;I[\\]ft",
        333: "()-`r",
        334: "{}",
        355: '"',
        389: "*",
        469: "^",
        500: "Jcksvxyz",
        584: "+<=>~",
        611: "FTZ",
        667: "ABEKPSVXY&",
        722: "CDHNRUw",
        778: "GOQ",
        833: "Mm",
        889: "%",
        944: "W",
        1000: "—…",
        1015: "@",
    }.items()
    for character in characters
}
_USUAL_WIDTH = 556
_WIDE = 1_050  # East Asian wide characters and emoji fill a square and a little more
_SEMIBOLD = 1.07  # Helvetica Bold against Regular on running text
_SAFETY = 1.04

# Where a word that is wider than a line may be broken: after punctuation, and where a camelCase word begins.
_PARTS = re.compile(r"[^\-_/.:,;|]+?(?=[A-Z][a-z])|[^\-_/.:,;|]*[\-_/.:,;|]+|[^\-_/.:,;|]+")

_JOINER = "\u200d"


def clean(value: str) -> str:
    """The text on one line, with U+FFFD for what XML 1.0 cannot hold or what would turn the text around it.

    That is control characters, half surrogates, noncharacters, and the bidirectional embeddings and overrides
    (a name is its own line in a picture, but in DOT or Mermaid text it stands among other names).
    """
    return "".join("\ufffd" if _unfit(character) else character for character in " ".join(value.split()))


def shortened(value: str, most: int) -> str:
    """The text with at most `most` characters, cut at the end where longer."""
    assert most > 0, "no room for an ellipsis"
    return value if len(value) <= most else value[: most - 1].rstrip() + ELLIPSIS


def width(value: str, size: float, *, semibold: bool = False) -> float:
    """About how many pixels wide a line is in the sans-serif font of the picture."""
    units = sum(map(_character_width, value))
    return units * size / 1_000 * (_SEMIBOLD if semibold else 1.0) * _SAFETY


def wrapped(value: str, size: float, *, room: float, most: int, semibold: bool = False) -> tuple[str, ...]:
    """The text in at most `most` lines of at most `room` pixels; the last one ends in an ellipsis if some is left.

    Lines end at spaces. A word wider than a line is broken at its parts, a part wider than a line anywhere but inside a
    character that is made of several. A middle dot at a line's end is dropped: it only parts what is on one line.
    """

    def fits(line: str) -> bool:
        return width(line, size, semibold=semibold) <= room

    lines: list[str] = []
    line = ""
    for piece in _pieces(value, fits):
        if fits((line + piece).rstrip()):
            line += piece
        else:
            lines.append(line.rstrip(" ·"))
            line = piece
    lines.append(line.rstrip())
    lines = [line for line in lines if line]
    if len(lines) <= most:
        return tuple(lines)
    last = _clusters(lines[most - 1])
    while last and not fits("".join(last) + ELLIPSIS):
        last.pop()
    return (*lines[: most - 1], "".join(last).rstrip() + ELLIPSIS)


def _pieces(value: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """What a line is made of, and may end between; a space belongs to the word before it."""
    for word in value.split():
        if fits(word):
            yield word + " "
            continue
        for part in _PARTS.findall(word):
            yield from [part] if fits(part) else _clusters(part)
        yield " "


def _clusters(value: str) -> list[str]:
    """Characters as a reader sees them: marks stay with their letter, joined emoji together."""
    clusters: list[str] = []
    joined = False
    for character in value:
        if clusters and (joined or _attaches(character)):
            clusters[-1] += character
        else:
            clusters.append(character)
        joined = character == _JOINER
    return clusters


def _attaches(character: str) -> bool:
    return character == _JOINER or unicodedata.category(character) in {"Mn", "Me", "Mc"} or _is_skin_tone(character)


def _is_skin_tone(character: str) -> bool:
    return "\U0001f3fb" <= character <= "\U0001f3ff"


def _character_width(character: str) -> int:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if character.isascii():
        return _USUAL_WIDTH
    if character == _JOINER or unicodedata.category(character) in {"Mn", "Me"} or _is_skin_tone(character):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    return 722 if character.isupper() else 600


def _unfit(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in {"Cc", "Cs"}
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
    )
