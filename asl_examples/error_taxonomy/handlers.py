"""Functions that go wrong on purpose."""


class OutOfStock(Exception):
    pass


def raise_out_of_stock(event, context):
    raise OutOfStock("no tea left")


def never_answer(event, context):
    """Takes the token and forgets it; what it returns does not end the Task."""


def never_called(event, context):
    raise AssertionError("the arguments of this Task cannot be computed")


def return_a_novel(event, context):
    return "It was a dark and stormy night. " * 10_000
