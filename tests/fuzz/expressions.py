"""Random expressions of both query languages: most are well formed, many find something in a document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.query.comparisons import OPERATORS
from engine.query.intrinsic_functions import FUNCTIONS
from tests.fuzz.documents import NUMBERS, STRINGS, document, scalar

if TYPE_CHECKING:
    from random import Random

NAMES = ("a", "b", "n", "s", "flag", "items", "t", "list", "missing")
VARIABLES = ("v", "w", "item", "naïve")
_ROOTS = (
    "$",
    "$",
    "$",
    "$",
    "$$.Execution.Input",
    "$$",
    "$$.State",
    "$$.Map.Item.Value",
    "$v",
    "$w",
    "$nope",
    "$$.Task.Token",
)
_GARBAGE = "$.[]()'\"*?@:,!=<>&|~/\\ 0a-_{}%\n;^#`é\U0001f600"


def garbage(draw: Random, longest: int = 24) -> str:
    """Characters that mean something in expressions, in any order."""
    return "".join(draw.choice(_GARBAGE) for _ in range(draw.randint(0, longest)))


def damaged(draw: Random, source: str) -> str:
    """The text with a piece cut out, doubled, or replaced by garbage."""
    start = draw.randint(0, len(source))
    end = min(len(source), start + draw.randint(0, 3))
    middle = draw.choice((lambda: "", lambda: source[start:end] * 2, lambda: garbage(draw, 3)))()
    return source[:start] + middle + source[end:]


# ── JSONPath ────────────────────────────────────────────────────────────────────────────────────────────────────────


def reference_path(draw: Random) -> str:
    """Names and indexes only."""
    steps = [
        draw.choice(("." + name(draw), f"['{name(draw)}']", f"[{draw.randint(-2, 3)}]"))
        for _ in range(draw.choice((0, 1, 1, 2)))
    ]
    return draw.choice(_ROOTS) + "".join(steps)


def name(draw: Random) -> str:
    return draw.choice(NAMES)


def path(draw: Random) -> str:
    """Any path."""
    if draw.random() < 0.5:
        return reference_path(draw)
    source = draw.choice(_ROOTS) + "".join(_step(draw, 2) for _ in range(draw.randint(1, 4)))
    return damaged(draw, source) if draw.random() < 0.05 else source


def _step(draw: Random, depth: int) -> str:
    match draw.randint(0, 12):
        case 0 | 1 | 2:
            return "." + name(draw)
        case 3:
            return f"..{name(draw)}"
        case 4:
            return draw.choice(("[*]", ".*", "..*"))
        case 5:
            return f"[{draw.randint(-3, 3)}]"
        case 6:
            return draw.choice(("[0:2]", "[1:]", "[:-1]", "[-2:]", "[-2:1]", "[0,1]", "[2,0,0]", "[:]"))
        case 7:
            return f"['{name(draw)}','{name(draw)}']"
        case 8:
            function = draw.choice(("length", "min", "max", "avg", "sum", "stddev", "keys", "first", "last", "nope"))
            return f".{function}()"
        case 9:
            arguments = draw.choice(("$.a", "1", "$.n, 2", '"x"', ""))
            return f".{draw.choice(('concat', 'append', 'index', 'length'))}({arguments})"
        case _:
            return f"[?({_filter(draw, depth)})]"


def _filter(draw: Random, depth: int) -> str:
    if depth > 0 and draw.random() < 0.3:
        joined = f"{_filter(draw, depth - 1)} {draw.choice(('&&', '||'))} {_filter(draw, depth - 1)}"
        return draw.choice((joined, f"!({joined})", f"({joined})"))
    left = draw.choice(("@", "@." + name(draw), "$.n", "@.items[0]", "@.length()", "@.items[?(@.n > 1)]"))
    if draw.random() < 0.2:
        return left
    operator = draw.choice(
        (
            "==",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "=~",
            "in",
            "nin",
            "subsetof",
            "anyof",
            "noneof",
            "size",
            "empty",
            "contains",
        )
    )
    right = draw.choice(
        (
            "1",
            "1.5",
            "'a'",
            "true",
            "null",
            "$.n",
            "@.a",
            "['a','b']",
            "[1,2]",
            "/a.*/",
            "/(a+)+$/i",
            "/[^x]{2,}|é/",
            "'{}'",
            "{'a':1}",
        )
    )
    return f"{left} {operator} {right}"


# ── Intrinsic functions ─────────────────────────────────────────────────────────────────────────────────────────────


def intrinsic(draw: Random, depth: int = 3) -> str:
    """A call; its arguments are of the right types more often than not."""
    function = draw.choice(list(FUNCTIONS))
    known = FUNCTIONS[function]
    most = known.arguments_min + 2 if known.arguments_max is None else known.arguments_max
    count = draw.randint(known.arguments_min, most) if draw.random() < 0.95 else draw.randint(0, 4)
    source = f"{function}({draw.choice((', ', ',', ' , ')).join(_argument(draw, depth) for _ in range(count))})"
    return damaged(draw, source) if draw.random() < 0.03 else source


def _argument(draw: Random, depth: int) -> str:
    match draw.randint(0, 9):
        case 0 | 1 | 2:
            return path(draw)
        case 3:
            return json.dumps(draw.choice(NUMBERS[:24]))
        case 4:
            return draw.choice(("true", "false", "null", "0", "1", "2"))
        case 5 | 6 if depth > 0:
            return intrinsic(draw, depth - 1)
        case 7:
            return draw.choice(("'{}'", "'{} {}'", "'MD5'", "'SHA-1'", r"'\{\}'", "','", "'a,b'"))
        case _:
            text = draw.choice(STRINGS).replace("\\", "\\\\").replace("'", "\\'")
            return f"'{text}'"


def dynamic(draw: Random) -> str:
    """What a `.$` field may hold."""
    return path(draw) if draw.random() < 0.6 else intrinsic(draw, 2)


def template(draw: Random, depth: int = 2) -> Any:
    """A payload template."""
    if depth == 0:
        return scalar(draw)
    if draw.random() < 0.15:
        return [template(draw, depth - 1) for _ in range(draw.randint(0, 3))]
    found: dict[str, Any] = {}
    for _ in range(draw.randint(0, 4)):
        key = draw.choice(NAMES[:8])
        if key in found or f"{key}.$" in found:
            continue
        if draw.random() < 0.6:
            found[f"{key}.$"] = dynamic(draw)
        else:
            found[key] = template(draw, depth - 1)
    return found


# ── Choice rules ────────────────────────────────────────────────────────────────────────────────────────────────────


def rule(draw: Random, depth: int = 2) -> dict[str, Any]:
    """A rule of a JSONPath Choice state, without Next."""
    if depth > 0 and draw.random() < 0.25:
        kind = draw.choice(("And", "Or", "Not"))
        inner = [rule(draw, depth - 1) for _ in range(draw.randint(1, 3))]
        return {kind: inner[0] if kind == "Not" else inner}
    operator = draw.choice(list(OPERATORS.values()))
    operand: Any = reference_path(draw)
    if not operator.is_path:
        of_type = {
            "string": STRINGS
            if operator.family != "Timestamp"
            else ("2024-01-01T00:00:00Z", "2023-11-14T22:13:20.5+01:00"),
            "number": NUMBERS,
            "boolean": (True, False),
        }
        operand = draw.choice(of_type[operator.literal_type])
        if operator.name == "StringMatches":
            operand = draw.choice(("*", "a*", "*b*", r"\*", r"a\\*", "x" * 20 + "*", "**", "a?", "\\"))
    return {"Variable": reference_path(draw), operator.name: operand}


# ── JSONata ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_JSONATA_FUNCTIONS = (
    "sum", "count", "max", "min", "average", "string", "number", "boolean", "not", "exists", "keys", "length", "trim",
    "uppercase", "lowercase", "type", "parse", "reverse", "distinct", "sort", "spread", "merge", "floor", "round",
    "abs", "sqrt", "base64encode", "base64decode", "encodeUrl", "decodeUrl", "toMillis", "fromMillis", "shuffle",
    "values", "eval", "assert", "error",
)  # fmt: skip
_JSONATA_TWO = (
    "append",
    "split",
    "join",
    "partition",
    "contains",
    "substring",
    "power",
    "formatNumber",
    "lookup",
    "hash",
    "pad",
    "zip",
)
_JSONATA_OPERATORS = ("+", "-", "*", "/", "%", "&", "=", "!=", "<", "<=", ">", ">=", "and", "or", "in")
_JSONATA_THREE = ("range", "replace", "substring", "pad")
ROOTS = (
    "$states.input", "$states.input", "$states.input", "$states.context.Execution.Input", "$states.context", "$v",
    "$w", "$nope", "$states",
)  # fmt: skip


def jsonata(draw: Random, depth: int = 3, *, roots: tuple[str, ...] = ROOTS) -> str:
    """An expression without its delimiters."""

    def inner() -> str:
        return jsonata(draw, depth - 1, roots=roots)

    if depth <= 0 or draw.random() < 0.2:
        return _jsonata_leaf(draw, roots)
    match draw.randint(0, 15):
        case 0 | 1:
            return f"{inner()} {draw.choice(_JSONATA_OPERATORS)} {inner()}"
        case 2:
            return f"({inner()})"
        case 3:
            return f"[{', '.join(inner() for _ in range(draw.randint(0, 3)))}]"
        case 4:
            return "{" + ", ".join(f'"{name(draw)}": {inner()}' for _ in range(draw.randint(0, 3))) + "}"
        case 5 | 6:
            return f"${draw.choice(_JSONATA_FUNCTIONS)}({inner()})"
        case 7:
            return f"${draw.choice(_JSONATA_TWO)}({inner()}, {inner()})"
        case 8:
            return f"${draw.choice(_JSONATA_THREE)}({inner()}, {inner()}, {inner()})"
        case 9:
            return f"{inner()} ? {inner()} : {inner()}"
        case 10:
            function = draw.choice(("map", "filter", "reduce", "single", "each", "sift"))
            body = draw.choice(("$i", "$i + $j", "$j", "$string($i)", "$i > 1"))
            return f"${function}({inner()}, function($i, $j) {{ {body} }})"
        case 11:
            return f"{inner()}.{name(draw)}"
        case 12:
            return f"{inner()}[{draw.choice(('0', '-1', 'n > 1', '$ = 1', 'a', '[0..1]', '$$.a'))}]"
        case 13:
            return f"{inner()}^({draw.choice(('', '<', '>'))}{name(draw)})"
        case 14:
            return f"($x := {inner()}; $x)"
        case _:
            return draw.choice(
                (
                    f"[{draw.randint(0, 5)}..{draw.randint(0, 9)}]",
                    f"{inner()} ~> $string",
                    f"-{inner()}",
                    "$match('ab', /[a-z]/)",
                )
            )


def _jsonata_leaf(draw: Random, roots: tuple[str, ...]) -> str:
    match draw.randint(0, 5):
        case 0 | 1 | 2:
            return ".".join((draw.choice(roots), *(name(draw) for _ in range(draw.choice((0, 1, 1, 2))))))
        case 3:
            return json.dumps(draw.choice(STRINGS))
        case 4:
            return json.dumps(draw.choice(NUMBERS[:9] + NUMBERS[17:24]))
        case _:
            if draw.random() < 0.05:
                return draw.choice(("$", "$$", "a"))  # refused at the top level
            return draw.choice(
                (
                    "true",
                    "false",
                    "null",
                    "$now()",
                    "$millis()",
                    "$uuid()",
                    "$random()",
                    "$random(42)",
                    "function($x){$x}",
                )
            )


def in_delimiters(draw: Random, source: str) -> str:
    """An expression as a field holds it."""
    spaced = f"{{% {source} %}}"
    return damaged(draw, spaced) if draw.random() < 0.02 else spaced


def jsonata_value(draw: Random, depth: int = 2, *, roots: tuple[str, ...] = ROOTS) -> Any:
    """JSON with expressions in it."""
    kind = draw.random()
    if kind < 0.6 or depth == 0:
        return in_delimiters(draw, jsonata(draw, draw.randint(0, 3), roots=roots))
    if kind < 0.7:
        return document(draw, 1)
    if kind < 0.8:
        return [jsonata_value(draw, depth - 1, roots=roots) for _ in range(draw.randint(0, 3))]
    return {name(draw): jsonata_value(draw, depth - 1, roots=roots) for _ in range(draw.randint(0, 3))}


JSONATA_RESULT_ROOTS = (*ROOTS, "$states.result", "$states.result")
JSONATA_ERROR_ROOTS = (*ROOTS, "$states.errorOutput", "$states.errorOutput")
