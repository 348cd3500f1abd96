"""A worker. Locally a function takes the place of the polling program: it is called when a Task waits for a worker."""

from engine import TaskFailed

_PIECES_IN_A_BOX = 20


def pack_parcel(event, context):
    if context.attempt == 0:
        raise TaskFailed("WorkerIll", "with Error and Cause just as SendTaskFailure would give them")
    if event["pieces"] > _PIECES_IN_A_BOX:
        raise TaskFailed("TooBigForABox", f"{event['pieces']} pieces")
    for _ in range(event["pieces"]):
        context.heartbeat()
    return {"in": "a box", "pieces": event["pieces"]}
