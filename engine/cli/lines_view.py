"""What happens in an execution as lines on stderr, for logs and for `--trace`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Self

import click

from engine.asl.program import MapState
from engine.cli.durations import duration
from engine.cli.failure import state_named
from engine.cli.map_progress import MapRunsProgress
from engine.cli.progress import ExecutionProgress
from engine.cli.streams import print_note
from engine.interpreter.history import as_aws, details_key
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from engine.asl.program import StateMachine
    from engine.cli.progress import Happening, Path
    from engine.interpreter.snapshot import Transition
    from engine.library import MapRunCounts

_VISITS_SHOWN = 10
"""Visits of one state that are told. More: a loop of a thousand rounds hides everything else."""

_STEPS_SHOWN = 10
"""Lines about how far a Map is."""

_CAUSE_SHOWN = 200
"""Characters of a cause in a line; the whole of it comes with the failure."""

_ERROR_MESSAGE = re.compile(r'\{(?:"errorType":"[^"\\]*",)?"errorMessage":(?P<message>"(?:[^"\\]|\\.)*")')


class LinesView:
    """One line for whatever happens, with its time on the execution's clock.

    What happens in iterations of a Map is summed up, unless `trace` is set: then every visit of every state is told,
    with its input and output.
    """

    def __init__(self, program: StateMachine, *, trace: bool) -> None:
        self._program = program
        self._progress = ExecutionProgress(program)
        self._trace = trace
        self._map_runs = MapRunsProgress()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""

    def close(self) -> None:
        """Nothing was opened."""

    def observe(self, _execution_arn: str, transition: Transition, /) -> None:
        """Tells what a transition did."""
        happenings = self._progress.observe(transition)
        if self._trace:
            self._tell_all(transition, happenings)
            return
        for happening in happenings:
            text = self._text(happening)
            if text is not None:
                self._say(f"{happening.state}: {text}")

    def map_run(self, counts: MapRunCounts, /) -> None:
        """Tells how far a map run is, a few times in all."""
        run = self._map_runs.look(counts)
        if run.is_worth_a_line():
            self._say(f"{counts.state}: {run.text()}")

    def _say(self, line: str) -> None:
        print_note(f"{click.style(iso_timestamp(self._progress.now), dim=True)} {line}")

    # ── in short ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, happening: Happening) -> str | None:
        """What to say, or None when it is not worth a line."""
        if happening.path and happening.kind != "failed":
            return None
        if happening.visit > _VISITS_SHOWN:
            is_first = happening.visit == _VISITS_SHOWN + 1 and happening.kind == "entered"
            return "entered once more; from here on its visits are not told (--trace tells all)" if is_first else None
        if happening.kind == "iteration" and not _is_step(happening.number, happening.total):
            return None
        return self._told(happening)

    def _told(self, happening: Happening) -> str | None:
        if happening.kind == "items":
            state = state_named(self._program, happening.state)
            if isinstance(state, MapState) and state.item_reader is not None:
                return "started"  # nobody knows yet how many items there are
        return _text_of(happening, self._progress.states[happening.state].type)

    # ── everything ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_all(self, transition: Transition, happenings: list[Happening]) -> None:
        segment = transition.segment()
        events = list(as_aws([segment]))
        for happening in happenings:
            state = self._progress.states[happening.state]
            text = f"entered ({state.type})" if happening.kind == "entered" else self._told(happening)
            if text is None or happening.kind == "iteration":
                continue
            self._say(f"{happening.state}{_path_text(happening.path)}: {text}")
            shown = _payload(happening, events[happening.event])
            if shown is not None:
                print_note(f"    {shown}")


def _is_step(done: int, total: int) -> bool:
    """Whether `done` is one of the few counts of a Map that are told."""
    steps = min(total, _STEPS_SHOWN)
    return done * steps // total > (done - 1) * steps // total


def _text_of(happening: Happening, state_type: str) -> str | None:
    after = f" after {duration(happening.milliseconds)}" if happening.milliseconds else ""
    match happening.kind:
        case "entered":
            return {"Wait": "waiting", "Parallel": "started"}.get(state_type)
        case "attempt":
            return "started" if happening.number == 1 else f"attempt {happening.number}{after}"
        case "failed":
            cause = _in_short(happening.cause or "")
            said = click.style(f"failed{after}: {happening.error or 'no error name'}", fg="red")
            return f"{said}: {cause}" if cause else said
        case "caught":
            return f"caught {happening.error}{after}"
        case "exited":
            return f"done{after}"
        case "aborted":
            return f"aborted{after}"
        case "items":
            return f"started, {happening.total} items"
        case "iteration":
            return f"{happening.number}/{happening.total} items done"


def _in_short(cause: str) -> str:
    """One line of a cause: the message, when it is a Lambda error's JSON."""
    found = _ERROR_MESSAGE.match(cause)
    if found is not None:
        cause = json.loads(found["message"])
    cause = cause.partition("\n")[0]
    return cause if len(cause) <= _CAUSE_SHOWN else f"{cause[:_CAUSE_SHOWN]}…"


def _path_text(path: Path) -> str:
    return f" ({', '.join(f'{name}[{index}]' for name, index in path)})" if path else ""


def _payload(happening: Happening, event: dict[str, Any]) -> str | None:
    """`input {...}` of a state that was entered, `output {...}` of one that was left, and what it assigned."""
    if happening.kind not in ("entered", "exited", "caught"):
        return None
    details = event[details_key(event["type"])]
    if happening.kind == "entered":
        return f"input {details['input']}"
    assigned = ", ".join(f"${name} = {value}" for name, value in details.get("assignedVariables", {}).items())
    return f"output {details['output']}" + (f"\n    assigned {assigned}" if assigned else "")
