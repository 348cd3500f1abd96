"""What is stored can be read for ever: the form of packed bytes is pinned here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.interpreter.history import Segment
from engine.interpreter.snapshot import Ending, Frame, OnTask, OnTimer, Redrives, Snapshot
from engine.store.postgres.packing import squeeze, unsqueeze
from engine.store.postgres.snapshots import decode_ending, decode_segment, encode_row, pack, pack_whole, unpack
from tests.store.runs import execution

# Written by the first release. Bytes of one form may change with the version of zlib, what they stand for may not.
GOLDEN = {
    "plain": ("00" + b"[1,2]".hex(), b"[1,2]"),
    "small": (
        "018b3606996d009142b5381c980994c0010af42b98037207d03208c4740e347582a40d63754c41c60300",
        b'[3,1000,null,[[[0,0],null,"Wait",{"in":"Wait"},10,0,0,0,0,{},0,[],null,["OnTimer",[0,0,1],5]]]]',
    ),
    "large": (
        "027801edd0010d000000c2a0f74f6d0e37884061c0800103060c183060c0800103060c183060c0800103060c183060c0800103060c183060c080010306fe070627100001",
        b"\0" * 10_000,
    ),
}


@given(st.binary(max_size=5_000) | st.text("ab[],0", max_size=5_000).map(str.encode))
def test_what_was_squeezed_comes_back(data: bytes):
    packed = squeeze(data)
    assert unsqueeze(packed) == data
    assert len(packed) <= len(data) + 1


@pytest.mark.parametrize("form", GOLDEN)
def test_the_stored_forms_are_read_for_ever(form: str):
    stored, data = GOLDEN[form]
    assert unsqueeze(bytes.fromhex(stored)) == data


def test_a_task_shrinks_to_less_than_half():
    task = Frame((0, 0), None, "Charge", {"order": 17, "customer": "Ada"}, 35, 9, 7, 6, 1_000)
    task.waiting = OnTask((0, 0, 2), None, True)
    snapshot = Snapshot(execution=execution("e"), frames={task.key: task})
    assert len(pack_whole(snapshot)) < 110


def test_rows_hold_what_was_put_in():
    segment = Segment(5, 1_000, [(0, 4, None, {"input": {"a": "\0"}}), (7, 0, "S")])
    assert decode_segment(encode_row(segment)).first_event_id == 5
    ending = Ending("FAILED", None, "E", "c", "S", (0, 0))
    assert decode_ending(encode_row(ending)) == ending


@pytest.mark.parametrize("redrives", [Redrives(), Redrives(3, 1_700_000_000_000)])
def test_a_whole_snapshot_comes_back(redrives: Redrives):
    frames = {
        (1, place): Frame((1, place), (0, 0), "W", place, 5, waiting=OnTimer((1, place, 9), 5)) for place in range(20)
    }
    snapshot = Snapshot(
        execution=execution("e"), frames=frames, counter=3, last_event_id=4, last_time=5, redrives=redrives,
        ending=Ending("ABORTED"),
    )  # fmt: skip
    assert unpack(snapshot.execution, pack_whole(snapshot)) == snapshot
    packed = pack(snapshot)
    assert len(packed.put) == 20
    assert unpack(snapshot.execution, packed.snapshot, [data for _, data in packed.put]) == snapshot
