"""Bytes as small as they cheaply get: what a Task's checkpoint writes is a few hundred bytes of much the same JSON.

Deflate with a dictionary of that sameness makes a third of it, in 5 us, where zlib alone takes 12 and makes a half: it
has to set up a window of 32 KB. The first byte tells how the rest was packed; it and the dictionary are part of the
stored format and never change.
"""

from __future__ import annotations

import zlib

_PLAIN, _SMALL, _LARGE = b"\x00", b"\x01", b"\x02"

_PLAIN_BYTES_MAX = 64
_SMALL_BYTES_MAX = 2_048
"""The window of the small form; beyond it the ordinary one packs better and its setting up no longer counts."""

_LEVEL = 1

_THOROUGH_LEVEL = 6
_THOROUGH_BYTES_MAX = 32_768
"""Up to one window of zlib thoroughness pays: 10 KB of records become 1.5 KB in place of 1.9, in 44 us for 23, and each
byte is written twice, ahead and in its place. Of 100 KB it would take 0.9 ms more, while everybody's group waits."""

_SMALL_WINDOW_BITS = -11
_SMALL_MEMORY = 4

# What is most frequent stands last, where distances are short.
_DICTIONARY = (
    b'"stateMachineArn":"stateMachineVersionArn":"States.Timeout","States.TaskFailed","States.Runtime","error":"cause":"'
    b'["StopRequested",["RedriveRequested"]["TaskError",[0,0,"RUN"]["TaskDone",[0,0,true,false,"timeoutInSeconds":'
    b'"taskCredentials":{"roleArn":"heartbeatInSeconds":"workerName":"inputText":"output":{"statusCode":200,'
    b'"StatusCode":200,"ExecutedVersion":"$LATEST","Payload":{"MessageId":"waitForTaskToken","resourceType":"lambda",'
    b'"resource":"invoke","region":"us-east-1","parameters":{"FunctionName":"arn:aws:lambda:us-east-1:function:'
    b'["OnTimer",["OnRetry",["OnBranches",["Done",["SUCCEEDED",["FAILED",null,"ABORTED","TIMED_OUT"'
    b'["arn:aws:states:us-east-1:000000000000:execution:","STANDARD","arn:aws:iam::000000000000:role/",'
    b'"arn:aws:states:us-east-1:000000000000:stateMachine:","{},262144,25000,"us-east-1",false,null,null]'
    b',null,{"input":{"roleArn":"arn:aws:iam::}}],[7,[1,2,null,{"output":{}}],[19,"}],[12,6,"'
    b'"],[44,7,null,{"resource":"arn:aws:lambda:us-east-1:000000000000:function:","input":{}}],[46,8,null,null]]]'
    b'[1,null,[[[0,0],null,"{"}},100,{},0,[],null,["OnTask",[0,0,2],null,true,null,null,null,null,null,null,true,false]]]]'
)

_prepared = zlib.compressobj(
    _LEVEL, zlib.DEFLATED, _SMALL_WINDOW_BITS, _SMALL_MEMORY, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY
)


def squeeze(data: bytes) -> bytes:
    """The bytes as they are stored."""
    size = len(data)
    if size <= _PLAIN_BYTES_MAX:
        return _PLAIN + data
    if size > _SMALL_BYTES_MAX:
        packed = _LARGE + zlib.compress(data, _THOROUGH_LEVEL if size <= _THOROUGH_BYTES_MAX else _LEVEL)
    else:
        # A copy of one that has read the dictionary: half the time of a new one.
        packer = _prepared.copy()
        packed = _SMALL + packer.compress(data) + packer.flush()
    return packed if len(packed) <= size else _PLAIN + data


def unsqueeze(packed: bytes) -> bytes:
    """The bytes that were squeezed."""
    form, data = packed[:1], packed[1:]
    if form == _PLAIN:
        return data
    if form == _SMALL:
        return zlib.decompressobj(_SMALL_WINDOW_BITS, zdict=_DICTIONARY).decompress(data)
    assert form == _LARGE, f"bytes of an unknown form {form!r}"
    return zlib.decompress(data)
