"""Reads YAML for the words a person wrote, not by YAML 1.1's guesses.

A plain (unquoted) scalar is null, a boolean or a number only where JSON would have one: `null` and `true`/`false`
(also `Null`, `~`, nothing at all, `True`, `FALSE`) and numbers in JSON's grammar. So `Yes`, `on`, `2024-01-01`, `012`,
`0x1F`, `1_000` and `12:30` are the strings they look like. Keys are always strings. Anchors, aliases and `<<` work;
tags such as CloudFormation's `!Sub` are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from engine.asl.diagnostics import Place, Span
from engine.asl.json_text import DEPTH_MAX, TooDeep
from engine.jsonvalue import InvalidJson, Json, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml
    from yaml.error import Mark
    from yaml.nodes import MappingNode, Node, ScalarNode
    from yaml.tokens import Token

# Aliases can make a small text stand for a huge value; this is about what fits in AWS's 1,048,576 characters of JSON.
_VALUES_MAX = 100_000

_CONSTANTS: Mapping[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PREFIX = "tag:yaml.org,2002:"
# What PyYAML takes a plain scalar for; `value` is "=".
_SCALAR_TAGS = frozenset(
    _PREFIX + name for name in ("null", "bool", "int", "float", "timestamp", "str", "merge", "value")
)
_MERGE = _PREFIX + "merge"


class InvalidYaml(ValueError):
    """Text that is not YAML, or YAML that is not JSON. Line and column start at 1."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column


@dataclass(slots=True)
class YamlReading:
    """What a YAML text says, and where."""

    value: Json = None
    keys: dict[Place, Span] = field(default_factory=dict)
    values: dict[Place, Span] = field(default_factory=dict)
    repeated: list[Place] = field(default_factory=list)


def read_yaml(text: str) -> YamlReading:
    """Reads one YAML document.

    Raises:
        InvalidYaml: Not YAML, several documents, a tag, a key that is no scalar, a number beyond a double, half a
            surrogate pair, or too many values.
        TooDeep: It goes deeper than `DEPTH_MAX`.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.problem or error.context, error.note) if part)
        raise InvalidYaml(f"not YAML: {reason}", mark.line + 1 if mark else 1, mark.column + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        raise InvalidYaml(f"not YAML: {error.reason}", line, column) from None
    except RecursionError:
        raise TooDeep(0) from None
    reading = YamlReading()
    if root is not None:
        reading.value = _Reader(text, reading).value(root, ())
    return reading


@cache
def _loader() -> type[yaml.SafeLoader]:
    """PyYAML's loader, that stops where it gets too deep: its time for a token grows with the levels that are open."""
    import yaml

    class BoundedLoader(yaml.SafeLoader):
        def fetch_flow_collection_start(self, TokenClass: type[Token]) -> None:  # noqa: N803  PyYAML's name
            if self.flow_level >= DEPTH_MAX:
                raise TooDeep(self.index)
            super().fetch_flow_collection_start(TokenClass)

        def add_indent(self, column: int) -> bool:
            if len(self.indents) > DEPTH_MAX:
                raise TooDeep(self.index)
            added: bool = super().add_indent(column)
            return added

    return BoundedLoader


class _Reader:
    def __init__(self, text: str, reading: YamlReading) -> None:
        self.text = text
        self.reading = reading
        self.left = _VALUES_MAX

    def value(self, node: Node, place: Place) -> Json:
        from yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self.left -= 1
        if self.left < 0:
            raise _invalid(f"aliases make this more than {_VALUES_MAX:,} values", node)
        self.reading.values[place] = _span(node)
        if isinstance(node, ScalarNode):
            return _scalar(node, self.text)
        if len(place) >= DEPTH_MAX:
            raise TooDeep(node.start_mark.index)
        if isinstance(node, SequenceNode) and node.tag == _PREFIX + "seq":
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, MappingNode) and node.tag == _PREFIX + "map":
            return self.mapping(node, place)
        raise _tagged(node)

    def mapping(self, node: MappingNode, place: Place) -> dict[str, Json]:
        members: dict[str, Json] = {}
        merged: list[Node] = []
        for key, item in node.value:
            if key.tag == _MERGE:
                merged.append(item)
                continue
            name = _key(key)
            at = (*place, name)
            if name in members:
                self.reading.repeated.append(at)
            self.reading.keys[at] = _span(key)
            members[name] = self.value(item, at)
        for item in merged:
            for name, value in self.merge(item, place).items():
                members.setdefault(name, value)
        return members

    def merge(self, node: Node, place: Place) -> dict[str, Json]:
        """What `<<` brings in: one mapping, or a list of them of which the first that has a key counts."""
        from yaml.nodes import MappingNode, SequenceNode

        sources = node.value if isinstance(node, SequenceNode) else [node]
        members: dict[str, Json] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                raise _invalid("'<<' takes a mapping or a list of mappings", node)
            if len(place) >= DEPTH_MAX:
                raise TooDeep(node.start_mark.index)
            inner = _Reader(self.text, YamlReading())
            inner.left = self.left
            for name, value in inner.mapping(source, (*place, "<<")).items():
                members.setdefault(name, value)
            self.left = inner.left
        return members


def _scalar(node: ScalarNode, written: str) -> Json:
    if node.tag not in _SCALAR_TAGS:
        raise _tagged(node)
    text = _text(node)
    # What is quoted is a string unless a tag of its own says otherwise, as in `!!int "1"`.
    if node.tag == _PREFIX + "str" and (node.style is not None or _has_tag(node, written)):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NUMBER.fullmatch(text) is None:
        return text
    try:
        return decode(text)
    except InvalidJson as error:
        raise _invalid(error.reason, node) from None


def _has_tag(node: ScalarNode, written: str) -> bool:
    """Whether a plain scalar has a tag of its own, such as `!!str 1e3`: what stands before its text tells."""
    return "!" in written[node.start_mark.index : node.end_mark.index].removesuffix(node.value)


def _key(node: Node) -> str:
    from yaml.nodes import ScalarNode

    if not isinstance(node, ScalarNode):
        raise _invalid("a key must be a string", node)
    if node.tag not in _SCALAR_TAGS:
        raise _tagged(node)
    return _text(node)


def _text(node: ScalarNode) -> str:
    r"""A scalar's text. PyYAML leaves the two escapes of a character beyond U+FFFF, `\ud83d\ude00`, as they are."""
    text: str = node.value
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _invalid("half a surrogate pair is no text", node) from None


def _tagged(node: Node) -> InvalidYaml:
    tag = node.tag
    shown = f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag
    return _invalid(f"the tag {shown} is not supported; what it stands for has to be filled in before", node)


def _invalid(reason: str, node: Node) -> InvalidYaml:
    return InvalidYaml(reason, node.start_mark.line + 1, node.start_mark.column + 1)


def _span(node: Node) -> Span:
    start: Mark = node.start_mark
    end: Mark = node.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
