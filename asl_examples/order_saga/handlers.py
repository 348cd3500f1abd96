"""A shop, a bank and a carrier, as small as they can be. Each function plays the Lambda function of its name."""


class OutOfStock(Exception):
    pass


class CardDeclined(Exception):
    pass


class CarrierBusy(Exception):
    pass


class NoCarrier(Exception):
    pass


class BankOffline(Exception):
    pass


_STOCK = {"tea": 12, "teapot": 1}
_PRICES = {"tea": 4.5, "teapot": 32.0}


def reserve_stock(event, context):
    for item in event["items"]:
        if item["quantity"] > _STOCK.get(item["name"], 0):
            raise OutOfStock(f"{item['quantity']} x {item['name']} wanted, {_STOCK.get(item['name'], 0)} left")
    total = sum(_PRICES[item["name"]] * item["quantity"] for item in event["items"])
    return {"reservationId": f"reservation-{event['orderId']}", "total": total}


def charge_card(event, context):
    if event["card"] == "card-declined":
        raise CardDeclined(f"the bank refuses {event['amount']:.2f}")
    suffix = "-unrefundable" if event["card"] == "card-of-a-bank-that-will-be-offline" else ""
    return {"chargeId": f"charge-{event['orderId']}{suffix}", "amount": event["amount"]}


def ship(event, context):
    if context.attempt == 0:
        raise CarrierBusy("try again in a moment")
    if event["country"] == "Antarctica":
        raise NoCarrier(f"nobody delivers to {event['country']}")
    return {"trackingNumber": f"parcel-{event['orderId']}"}


def refund_card(event, context):
    if event["chargeId"].endswith("-unrefundable"):
        raise BankOffline("no answer from the bank")
    return {"refunded": event["chargeId"]}


def release_stock(event, context):
    return {"released": event["reservationId"]}
