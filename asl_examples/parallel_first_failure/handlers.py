"""A travel agency."""


class HotelBusy(Exception):
    pass


class HotelFull(Exception):
    pass


_calls = {}


def book_flight(event, context):
    return {"flight": "TP 1234"}


def book_hotel(event, context):
    calls = _calls[context.execution_arn] = _calls.get(context.execution_arn, 0) + 1
    if event["hotel"] == "Grand" and calls < 3:
        raise HotelBusy("the line is engaged")
    if event["hotel"] == "Tiny":
        raise HotelFull("both rooms are taken")
    return {"hotel": event["hotel"], "calls": calls}


def cancel_flight(event, context):
    return {"booked": False, "because": event["because"]}
