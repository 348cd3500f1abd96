"""A customer database with one customer, and a mailbox that nobody reads."""


def look_up_customer(event, context):
    row = {"name": "Ada", "tags": ["early", "tea", "maths"], "vip": event["customerId"] == "c-7"}
    profile = {field: row[field] for field in event["fields"]}
    return {"profile": profile, "queryPlan": "something that nobody downstream needs to see"}


def notify(event, context):
    return {"sentTo": event["to"]}
