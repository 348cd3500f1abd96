"""What a JSONata expression names, read from its text: the library offers no syntax tree.

AWS refuses some valid JSONata when a definition is created (`Reference to 'phone' at the top level is not supported.`),
so somebody has to know which names stand at the top level. This parser reads expressions that the library has compiled
already: it finds places and scopes, and leaves judging the grammar to the library.
Binding powers and tokens follow the JSONata reference implementation; the rule of what is the top level is AWS's, as
measured: the first step of a path, array and object constructors, arguments, and the body of a function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Beyond this nobody's evaluation succeeds (AWS stops at a depth of 100), and each level costs the parser three frames.
LEVELS_MAX = 150

_BINDING = {
    ":=": 10, "..": 0, "?": 20, "or": 25, "and": 30, "=": 40, "!=": 40, "<": 40, ">": 40, "<=": 40, ">=": 40, "in": 40,
    "^": 40, "~>": 40, "?:": 40, "??": 40, "+": 50, "-": 50, "&": 50, "*": 60, "/": 60, "%": 60, "{": 70, ".": 75,
    "[": 80, "(": 80, "@": 80, "#": 80,
}  # fmt: skip
_WORD_OPERATORS = frozenset(("and", "or", "in"))
_LITERALS = frozenset(("true", "false", "null"))
_ARITHMETIC = frozenset("+-*/%")
_SINCE_2_1 = frozenset(("?:", "??"))

_SKIPPED = re.compile(r"(?:[ \t\n\r\v]|/\*.*?\*/)*", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<operator>\.\.|:=|!=|>=|<=|\*\*|~>|\?:|\?\?|[.\[\]{}(),@\#;:?+\-*/%|=<>^&!~])
      | (?P<literal>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | (?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
      | (?P<quoted>`[^`]*`)
      | (?P<name>[^ \t\n\r\v.\[\]{}(),@\#;:?+\-*/%|=<>^&!~]+)""",
    re.VERBOSE | re.DOTALL,
)


class UnreadableExpression(ValueError):
    """The parser cannot follow the expression. `offset` counts characters from its start."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.offset = offset


class Place(NamedTuple):
    """A name and where it stands first, in characters from the start of the expression."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """What an expression names.

    Attributes:
        references: What it reads at the top level beside variables, each once: names, and `$` and `$$` themselves.
        variables: Names of all its variables and functions without `$`, its own parameters among them.
        members: The members of `$states` it names, each once.
        assignments: Names it assigns with `:=`, each once.
        operators_2_1: Operators that JSONata knows only since version 2.1, each once.
        may_hide_nan: Whether its numbers can become NaN, which the library hands out as null.
    """

    references: tuple[Place, ...]
    variables: frozenset[str]
    members: tuple[Place, ...]
    assignments: tuple[Place, ...]
    operators_2_1: tuple[Place, ...]
    may_hide_nan: bool


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


@dataclass(slots=True)
class _Node:
    """One node. `kind` is `name`, `variable`, `leaf` (reads nothing by itself), or how its children are joined.

    `unshifted` is the number of leading children that see the context of the node itself; the others see another one.
    """

    kind: str
    start: int
    end: int
    text: str = ""
    children: tuple[_Node, ...] = ()
    unshifted: int = 0
    operator: _Token | None = None


def read(source: str) -> Syntax:
    """Reads an expression that the library accepts.

    Raises:
        UnreadableExpression: It is nested too deeply, or not JSONata.
    """
    root = _Parser(source).whole()
    nodes = list(_walk(root))
    called = [node.children[0].text for node in nodes if node.kind == "call" and node.children[0].kind == "variable"]
    return Syntax(
        references=_once(Place(node.text, node.start) for node in _top_level(root)),
        variables=frozenset(node.text for node in nodes if node.kind == "variable") - {"", "$"},
        members=_once(member for node in nodes if node.kind == "." for member in _states_member(node)),
        assignments=_once(Place(node.children[0].text, node.start) for node in nodes if node.kind == ":="),
        operators_2_1=_once(
            Place(node.operator.text, node.operator.start)
            for node in nodes
            if node.operator is not None and node.operator.text in _SINCE_2_1
        ),
        may_hide_nan="parseInteger" in called or any(node.kind in ("/", "%") for node in nodes),
    )


def with_arithmetic_as_calls(source: str, arithmetic: str) -> str:
    """The expression with each arithmetic operation written as the call of a function.

    `a / b` becomes `$arithmetic("/",(a),(b))`, so that numbers beyond JSON, which the library refuses or turns into
    null, can pass through a function of ours. `$parseInteger` is the one function whose answer can be NaN, the only
    value that differs from itself.
    """
    cuts: list[tuple[int, int, int, str]] = []  # from, rank among those that begin there, to, new text
    for depth, node in _walk_with_depth(_Parser(source).whole()):
        if node.kind in _ARITHMETIC and node.operator is not None:
            cuts.append((node.start, depth, node.start, f'${arithmetic}("{node.kind}",('))
            cuts.append((node.operator.start, 0, node.operator.end, "),("))
            cuts.append((node.end, -depth, node.end, "))"))
        elif node.kind == "call" and node.children[0].text == "parseInteger":
            cuts.append((node.start, depth, node.start, '(function($n){$n != $n ? "NaN" : $n})('))
            cuts.append((node.end, -depth, node.end, ")"))
    pieces: list[str] = []
    at = 0
    for start, _, end, text in sorted(cuts):
        pieces += (source[at:start], text)
        at = end
    return "".join((*pieces, source[at:]))


def _once(places: Iterator[Place]) -> tuple[Place, ...]:
    first: dict[str, Place] = {}
    for place in places:
        first.setdefault(place.name, place)
    return tuple(first.values())


def _walk(root: _Node) -> Iterator[_Node]:
    return (node for _, node in _walk_with_depth(root))


def _walk_with_depth(root: _Node) -> Iterator[tuple[int, _Node]]:
    """All nodes in the order of the text. Not recursive: a chain of a thousand `+` is a thousand levels deep."""
    waiting = [(0, root)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        waiting += ((depth + 1, child) for child in reversed(node.children))


def _top_level(root: _Node) -> Iterator[_Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.kind == "name" or (node.kind == "variable" and node.text in ("", "$")):
            yield _Node(node.kind, node.start, node.end, "$" + node.text if node.kind == "variable" else node.text)
        waiting += reversed(node.children[: node.unshifted])


def _states_member(path: _Node) -> Iterator[Place]:
    root, step = path.children
    while step.kind in ("[", "@", "#"):
        step = step.children[0]
    if root.kind == "variable" and root.text == "states" and step.kind == "name":
        yield Place(step.text, root.start)


class _Parser:
    """Top down operator precedence, as the reference implementation parses."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._levels = 0
        self._end = 0
        self._token = self._scan(infix=False)

    def whole(self) -> _Node:
        root = self._expression(0)
        if self._token.kind != "end":
            raise self._unexpected()
        return root

    def _unexpected(self) -> UnreadableExpression:
        return UnreadableExpression(f'Syntax error: "{self._token.text}"', self._token.start)

    # Tokens

    def _scan(self, *, infix: bool) -> _Token:
        """The next token. A slash opens a regular expression unless an operand stands before it (`infix`)."""
        skipped = _SKIPPED.match(self._source, self._end)
        assert skipped is not None, "the pattern matches the empty string"
        start = skipped.end()
        if start == len(self._source):
            return _Token("end", "(end)", start, start)
        if self._source[start] == "/" and not infix:
            return _Token("literal", "/", start, self._regex_end(start))
        found = _TOKEN.match(self._source, start)
        if found is None or found.lastgroup is None:
            raise UnreadableExpression("Syntax error", start)
        kind, text = found.lastgroup, found.group()
        if kind == "name" and text in _LITERALS:
            kind = "literal"
        elif kind == "name" and text.startswith("$"):
            kind, text = "variable", text[1:]
        elif kind == "name" and infix and text in _WORD_OPERATORS:
            kind = "operator"
        elif kind == "quoted":
            kind, text = "name", text[1:-1]
        return _Token(kind, text, start, found.end())

    def _regex_end(self, start: int) -> int:
        """Behind the closing slash and flags: a slash in brackets or behind a backslash does not close."""
        depth, at = 0, start + 1
        while at < len(self._source):
            char = self._source[at]
            if char == "\\":
                at += 1
            elif char == "/" and depth == 0:
                at += 1
                while at < len(self._source) and self._source[at] in "im":
                    at += 1
                return at
            elif char in "([{":
                depth += 1
            elif char in ")]}":
                depth -= 1
            at += 1
        raise UnreadableExpression("No terminating / in regular expression", start)

    def _advance(self, *, infix: bool) -> _Token:
        taken = self._token
        self._end = taken.end
        self._token = self._scan(infix=infix)
        return taken

    def _is(self, *texts: str) -> bool:
        return self._token.kind == "operator" and self._token.text in texts

    def _take(self, text: str, *, infix: bool) -> _Token:
        if not self._is(text):
            raise self._unexpected()
        return self._advance(infix=infix)

    # Expressions

    def _expression(self, binding: int) -> _Node:
        self._levels += 1
        if self._levels > LEVELS_MAX:
            raise UnreadableExpression("The expression is nested too deeply", self._token.start)
        left = self._operand()
        while self._token.kind == "operator" and binding < _BINDING.get(self._token.text, 0):
            left = self._joined(left)
        self._levels -= 1
        return left

    def _operand(self) -> _Node:
        token = self._token
        if token.kind in ("name", "variable"):
            self._advance(infix=True)
            return _Node(token.kind, token.start, token.end, token.text)
        if token.kind == "literal" or self._is("*", "**", "%", "?"):  # a lone ? is a partial application's gap
            self._advance(infix=True)
            return _Node("leaf", token.start, token.end)
        if token.kind != "operator":
            raise self._unexpected()
        match token.text:
            case "-":
                self._advance(infix=False)
                return self._node("negation", token.start, (self._expression(70),))
            case "(":
                return self._enclosed("block", token.start, self._sequence("(", ";", ")"))
            case "[":
                return self._enclosed("array", token.start, self._sequence("[", ",", "]", range_too=True))
            case "{":
                return self._enclosed("object", token.start, self._pairs())
            case "|":
                return self._transform()
            case _:
                raise self._unexpected()

    def _node(
        self,
        kind: str,
        start: int,
        children: tuple[_Node, ...],
        unshifted: int | None = None,
        operator: _Token | None = None,
    ) -> _Node:
        """A node that ends where its last child ends, all of whose children see its own context unless told."""
        count = len(children) if unshifted is None else unshifted
        return _Node(kind, start, children[-1].end, "", children, count, operator)

    def _enclosed(self, kind: str, start: int, children: tuple[_Node, ...], unshifted: int | None = None) -> _Node:
        """A node that ends behind the bracket that was taken last."""
        return _Node(kind, start, self._end, "", children, len(children) if unshifted is None else unshifted)

    def _sequence(self, opening: str, comma: str, closing: str, *, range_too: bool = False) -> tuple[_Node, ...]:
        self._take(opening, infix=False)
        items: list[_Node] = []
        while not self._is(closing):
            items.append(self._expression(0))
            if range_too and self._is(".."):
                self._advance(infix=False)
                items.append(self._expression(0))
            if not self._is(comma):
                break
            self._advance(infix=False)
        self._take(closing, infix=True)
        return tuple(items)

    def _pairs(self) -> tuple[_Node, ...]:
        self._take("{", infix=False)
        parts: list[_Node] = []
        while not self._is("}"):
            parts.append(self._expression(0))
            self._take(":", infix=False)
            parts.append(self._expression(0))
            if not self._is(","):
                break
            self._advance(infix=False)
        self._take("}", infix=True)
        return tuple(parts)

    def _transform(self) -> _Node:
        """`|pattern|update,delete|`: a function, whose parts see what it is applied to."""
        start = self._take("|", infix=False).start
        parts = [self._expression(0)]
        self._take("|", infix=False)
        parts.append(self._expression(0))
        if self._is(","):
            self._advance(infix=False)
            parts.append(self._expression(0))
        self._take("|", infix=True)
        return self._enclosed("transform", start, tuple(parts), 0)

    def _joined(self, left: _Node) -> _Node:
        operator = self._token
        match operator.text:
            case "(":
                return self._call(left)
            case "[":
                self._advance(infix=False)
                inner = () if self._is("]") else (self._expression(0),)
                self._take("]", infix=True)
                return self._enclosed("[", left.start, (left, *inner), 1)
            case "{":
                return self._enclosed("group", left.start, (left, *self._pairs()), 1)
            case "^":
                return self._sorted(left)
            case "?":
                return self._condition(left)
            case _:
                return self._binary(left)

    def _binary(self, left: _Node) -> _Node:
        operator = self._advance(infix=False)
        if operator.text == ".":
            return self._node(".", left.start, (left, self._expression(75)), 1)
        if operator.text in ("@", "#"):
            return self._node(operator.text, left.start, (left, self._expression(80)), 1)
        # Assignment groups to the right; the right side of ?: and ?? reaches as far as it can.
        binding = 9 if operator.text == ":=" else 0 if operator.text in _SINCE_2_1 else _BINDING[operator.text]
        return self._node(operator.text, left.start, (left, self._expression(binding)), None, operator)

    def _call(self, left: _Node) -> _Node:
        arguments = self._sequence("(", ",", ")")
        if left.kind == "name" and left.text in ("function", "λ"):
            if self._is("<"):
                self._skip_signature()
            self._take("{", infix=False)
            body = self._expression(0)
            self._take("}", infix=True)
            # Parameters are variables; the body keeps the context of the place where the function is written.
            return self._enclosed("function", left.start, (body, *arguments), 1)
        return self._enclosed("call", left.start, (left, *arguments))

    def _skip_signature(self) -> None:
        depth = 0
        while self._token.kind != "end":
            depth += 1 if self._is("<") else -1 if self._is(">") else 0
            self._advance(infix=depth == 0)
            if depth == 0:
                return
        raise self._unexpected()

    def _sorted(self, left: _Node) -> _Node:
        self._advance(infix=False)
        self._take("(", infix=False)
        terms: list[_Node] = []
        while True:
            if self._is("<", ">"):
                self._advance(infix=False)
            terms.append(self._expression(0))
            if not self._is(","):
                break
            self._advance(infix=False)
        self._take(")", infix=True)
        return self._enclosed("^", left.start, (left, *terms), 1)

    def _condition(self, left: _Node) -> _Node:
        self._advance(infix=False)
        parts = [left, self._expression(0)]
        if self._is(":"):
            self._advance(infix=False)
            parts.append(self._expression(0))
        return self._node("?", left.start, tuple(parts))
