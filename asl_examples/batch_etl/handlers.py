"""Two files and a table."""


class BadRecord(Exception):
    pass


class Deadlock(Exception):
    pass


_FILES = {
    "may.csv": ["tea,12", "teapot,1", "kettle,two", "cup,24", "", "saucer,24", "spoon,100"],
    "holes.csv": ["tea,12", "teapot", "kettle,"],
}


def extract(event, context):
    return {"records": [{"text": line} for line in _FILES[event["file"]]]}


def transform(event, context):
    name, comma, quantity = event["text"].partition(",")
    if not comma:
        raise BadRecord(f"no comma in {event['text']!r}")
    if not quantity.isdecimal():
        raise BadRecord(f"{quantity!r} is not a number")
    return {"name": name, "quantity": int(quantity)}


def load(event, context):
    if event["row"]["name"] == "cup" and event["attempt"] < 2:
        raise Deadlock("two rows met in the middle")
    return {"key": f"{event['row']['name']}/{event['row']['quantity']}"}
