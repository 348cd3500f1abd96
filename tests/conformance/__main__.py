"""Measures and prints the scores, and puts them into docs/compatibility.md: `python -m tests.conformance [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conformance.scores import report

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- conformance -->", "<!-- /conformance -->"


def with_section(document: str, section: str) -> str:
    """The document with the text between its markers replaced.

    Raises:
        ValueError: It has no markers.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def main(arguments: list[str]) -> None:
    """Prints the report; rewrites the marked section of the document, or of the file that is named instead."""
    try:
        section = report()
    except pytest.skip.Exception as missing:  # the recordings are not part of this repository
        sys.exit(str(missing))
    sys.stdout.write(section)
    path = Path(arguments[0]) if arguments else DOCUMENT
    path.write_text(with_section(path.read_text(encoding="utf-8"), section), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
