"""Reading JSON text: the bounds of depth."""

from __future__ import annotations

import pytest

from engine.jsonvalue import DEPTH_MAX, InvalidJson, decode, is_too_deep


def nested(levels: int, inner: str = "1") -> str:
    return '{"a":[' * (levels // 2) + "[" * (levels % 2) + inner + "]" * (levels % 2) + "]}" * (levels // 2)


@pytest.mark.parametrize("levels", [0, 1, 2, DEPTH_MAX - 1, DEPTH_MAX])
def test_documents_may_be_so_deep(levels: int) -> None:
    decode(nested(levels))
    assert not is_too_deep(nested(levels).encode())


@pytest.mark.parametrize("levels", [DEPTH_MAX + 1, DEPTH_MAX + 2, 950, 5_000, 100_000])
def test_documents_may_not_be_deeper(levels: int) -> None:
    with pytest.raises(InvalidJson, match="nested too deeply"):
        decode(nested(levels))
    with pytest.raises(InvalidJson, match="nested too deeply"):
        decode(nested(levels).encode())


def test_brackets_beside_one_another_and_in_strings_are_no_levels() -> None:
    text = "[" + ",".join(["[[]]", '{"}{[\\"[[":"[[[[\\\\"}'] * 1_000) + "]"
    assert isinstance(decode(text), list)
    assert is_too_deep(nested(DEPTH_MAX, "[" + ",".join(["[]"] * 500) + "]"))
    assert not is_too_deep(nested(DEPTH_MAX - 2, "[" + ",".join(["[]"] * 500) + "]"))
