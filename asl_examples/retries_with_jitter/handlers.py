"""A rate server on a bad day: what goes wrong depends on the currency and on how often it was asked."""


class TooManyRequests(Exception):
    pass


class ServerRestarting(Exception):
    pass


class UnknownCurrency(Exception):
    pass


_RATES = {"EUR": 1.08, "GBP": 1.27}
_TROUBLES = {
    "EUR": [TooManyRequests, ServerRestarting, TooManyRequests, ServerRestarting],
    "JPY": [ServerRestarting] * 9,
}


def fetch_rates(event, context):
    troubles = _TROUBLES.get(event["currency"], [])
    if event["attempt"] < len(troubles):
        raise troubles[event["attempt"]](f"attempt {event['attempt']}")
    if event["currency"] not in _RATES:
        raise UnknownCurrency(event["currency"])
    return {"currency": event["currency"], "rate": _RATES[event["currency"]], "attempts": event["attempt"] + 1}
