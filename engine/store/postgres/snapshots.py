"""Snapshots, events and executions as the bytes of rows, and which Frames of a big snapshot have rows of their own.

What never changes of an execution, its `Execution`, is written once, in its own row. The rest is a head of fixed width,
which lists read alone, and JSON, squeezed:

    flags, last event id, redrives, time of the last redrive | [counter, last_time, ending, [frame, ...]]

With many or large Frames the last member is null and each Frame has a row in `frame`: then a checkpoint writes those
that changed, and a Map of 10,000 items costs bytes in proportion. Whether that is so is told by the Frames themselves
(`is_spilled`), the same before a checkpoint as after the one before, so that nobody has to remember it.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from engine.interpreter.history import Segment
from engine.interpreter.messages import Event
from engine.interpreter.snapshot import (
    FORMAT,
    ROOT,
    Done,
    Ending,
    Execution,
    Frame,
    FrameKey,
    Redrives,
    Snapshot,
    UnknownFormat,
)
from engine.store.postgres.packing import squeeze, unsqueeze

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.interpreter.snapshot import Transition

READABLE_FORMATS = (FORMAT,)
"""Each row with packed bytes has a format number. It stands for how all of them are written: executions, snapshots,
Frames, endings, segments, events. Who changes one raises FORMAT, and reads the old one as long as rows of it may be
left. A new format is written one release after it can be read, so that two releases can run side by side.
`tests/store/golden` has bytes of each format."""

IS_READABLE = f"in ({', '.join(map(str, READABLE_FORMATS))})"
"""For statements: what follows a column of formats."""


def check_format(found: int, what: str) -> None:
    """Raises UnknownFormat: a newer engine wrote this."""
    if found not in READABLE_FORMATS:
        raise UnknownFormat(unknown_format(found, what))


def unknown_format(found: int, what: str) -> str:
    """What is said of a format that a newer engine wrote."""
    readable = " and ".join(map(str, READABLE_FORMATS))
    return f"{what} of format {found}, which a newer asl wrote; this one reads format {readable}"


INLINE_FRAMES_MAX = 16
"""More: each checkpoint of a wide Map would write all of them again."""

INLINE_BYTES_MAX = 8_192
"""More, in several Frames: the same, by bytes. One Frame alone is in its row as well as anywhere."""

_encode = msgspec.json.Encoder().encode
_Packed: TypeAlias = tuple[int, int, Ending | None, list[Frame] | None]
_decode_packed = msgspec.json.Decoder(_Packed).decode
_decode_frame = msgspec.json.Decoder(Frame).decode
_decode_execution = msgspec.json.Decoder(Execution).decode
_decode_ending = msgspec.json.Decoder(Ending).decode
_decode_event = msgspec.json.Decoder(Event).decode
_decode_segment = msgspec.json.Decoder(Segment).decode

_HEAD = Struct(">BIIq")
_SPILLED = 1
_NEVER = -1
HEAD_BYTES = _HEAD.size


def encode_row(value: Execution | Ending | Event | Segment | Frame) -> bytes:
    """One of these as the bytes of its column."""
    return squeeze(_encode(value))


def decode_execution(data: bytes) -> Execution:
    """The `Execution` of `execution.head`."""
    return _decode_execution(unsqueeze(data))


def decode_ending(data: bytes) -> Ending:
    """The `Ending` of `closed_execution.ending`."""
    return _decode_ending(unsqueeze(data))


def decode_event(data: bytes) -> Event:
    """The `Event` of `mail.event`."""
    event: Event = _decode_event(unsqueeze(data))
    return event


def decode_segment(data: bytes) -> Segment:
    """The `Segment` of `history_segment.data`."""
    return _decode_segment(unsqueeze(data))


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A snapshot as it is to be written.

    Attributes:
        snapshot: Of the open row.
        put: Frames to insert or replace.
        gone: Frames to delete.
        drop: Whether all Frame rows of the execution go.
        had_rows: Whether it has Frame rows as yet.
    """

    snapshot: bytes
    put: Sequence[tuple[FrameKey, bytes]] = ()
    gone: Sequence[FrameKey] = ()
    drop: bool = False
    had_rows: bool = False


def is_spilled(frames: Collection[Frame]) -> bool:
    """Whether these Frames have rows of their own."""
    count = len(frames)
    return count > 1 and (count > INLINE_FRAMES_MAX or sum(map(_bytes, frames)) > INLINE_BYTES_MAX)


def _bytes(frame: Frame) -> int:
    waiting = frame.waiting
    return frame.size + frame.variables_size + (waiting.size if isinstance(waiting, Done) else 0)


def pack_transition(snapshot: Snapshot, transition: Transition) -> Packed:
    """What a checkpoint writes: `snapshot` as it stands after `transition`."""
    before, changed = snapshot.frames, transition.changed
    was_spilled = is_spilled(before.values())
    count = len(before)
    for key, frame in changed.items():
        count += (frame is not None) - (key in before)
    if was_spilled and count > INLINE_FRAMES_MAX:
        put = [(key, encode_row(frame)) for key, frame in changed.items() if frame is not None]
        gone = [key for key, frame in changed.items() if frame is None and key in before]
        return Packed(_pack_transition(transition, None), put, gone, had_rows=True)
    after = {key: frame for key, frame in {**before, **changed}.items() if frame is not None}
    if not is_spilled(after.values()):
        return Packed(_pack_transition(transition, list(after.values())), drop=was_spilled, had_rows=was_spilled)
    written = changed if was_spilled else after
    put = [(key, encode_row(frame)) for key, frame in written.items() if frame is not None]
    gone = [key for key, frame in changed.items() if frame is None and key in before] if was_spilled else []
    return Packed(_pack_transition(transition, None), put, gone, had_rows=was_spilled)


def _pack_transition(transition: Transition, frames: list[Frame] | None) -> bytes:
    t = transition
    last_event_id = t.first_event_id + len(t.history) - 1
    return _pack(t.counter, last_event_id, t.now, t.redrives, t.ending, frames)


def _pack(
    counter: int,
    last_event_id: int,
    last_time: int,
    redrives: Redrives,
    ending: Ending | None,
    frames: list[Frame] | None,
) -> bytes:
    time = _NEVER if redrives.time is None else redrives.time
    head = _HEAD.pack(_SPILLED if frames is None else 0, last_event_id, redrives.count, time)
    return head + squeeze(_encode((counter, last_time, ending, frames)))


def pack(snapshot: Snapshot) -> Packed:
    """A whole snapshot for an execution that has no open row yet."""
    frames = snapshot.frames
    if is_spilled(frames.values()):
        put = [(key, encode_row(frame)) for key, frame in frames.items()]
        return Packed(_pack_snapshot(snapshot, None), put)
    return Packed(pack_whole(snapshot))


def pack_whole(snapshot: Snapshot) -> bytes:
    """A whole snapshot, its Frames included however many."""
    return _pack_snapshot(snapshot, list(snapshot.frames.values()))


def _pack_snapshot(snapshot: Snapshot, frames: list[Frame] | None) -> bytes:
    s = snapshot
    return _pack(s.counter, s.last_event_id, s.last_time, s.redrives, s.ending, frames)


def has_frame_rows(packed: bytes) -> bool:
    """Whether the Frames of a packed snapshot are to be read from `frame`."""
    return bool(packed[0] & _SPILLED)


def read_progress(packed: bytes) -> tuple[int, Redrives]:
    """Of the first HEAD_BYTES of a packed snapshot: the id of its last event, and its redrives."""
    _, last_event_id, count, time = _HEAD.unpack(packed[:HEAD_BYTES])
    return last_event_id, Redrives(count, None if time == _NEVER else time)


def unpack_root(packed: bytes, row: bytes | None) -> Frame | None:
    """The root Frame of a packed snapshot; `row`: its own, if it has one. None: the execution has not begun."""
    if has_frame_rows(packed):
        return None if row is None else _decode_frame(unsqueeze(row))
    inline = _decode_packed(unsqueeze(packed[HEAD_BYTES:]))[3] or ()
    return next((frame for frame in inline if frame.key == ROOT), None)


def unpack(execution: Execution, packed: bytes, frame_rows: Iterable[bytes] = ()) -> Snapshot:
    """The snapshot that was packed."""
    last_event_id, redrives = read_progress(packed)
    counter, last_time, ending, inline = _decode_packed(unsqueeze(packed[HEAD_BYTES:]))
    frames = [_decode_frame(unsqueeze(row)) for row in frame_rows] if inline is None else inline
    return Snapshot(
        execution=execution,
        frames={frame.key: frame for frame in frames},
        counter=counter,
        last_event_id=last_event_id,
        last_time=last_time,
        redrives=redrives,
        ending=ending,
    )
