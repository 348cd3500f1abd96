"""Three shops; one of them is closed."""


class ShopClosed(Exception):
    pass


def ask_lisbon(event, context):
    return {"shop": "lisbon", "price": 4.5, "product": event["product"]}


def ask_porto(event, context):
    return {"shop": "porto", "price": 3.9, "product": event["product"]}


def ask_faro(event, context):
    raise ShopClosed("until Monday")
