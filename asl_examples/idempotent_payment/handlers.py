"""A bank that does what it is told, and then loses the connection twice."""

_books = {}
_requests = {}


def charge(event, context):
    # context.idempotency_key would not do here: it is for one attempt, and stays the same when a worker crashes in the
    # middle of that attempt. The key of the definition covers the retries as well.
    key = event["idempotencyKey"]
    _requests[key] = _requests.get(key, 0) + 1
    if key not in _books:
        _books[key] = [event["amount"]]
    if _requests[key] <= 2:
        raise ConnectionResetError("the money is gone, but you will never know")
    return {"chargeId": key, "amount": event["amount"]}


def count_charges(event, context):
    key = event["chargeId"]
    return {"requests": _requests[key], "charges": len(_books[key])}
