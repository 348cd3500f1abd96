"""The three services as functions, each for the Resource that a Task calls."""

from engine import Handlers, TaskFailed

handlers = Handlers()

STOCK = {"kettle": 7, "teapot": 3}


@handlers.task("arn:aws:states:::dynamodb:updateItem")
def update_item(event, context):
    pieces = STOCK[event["Key"]["sku"]["S"]] - int(event["ExpressionAttributeValues"][":n"]["N"])
    if pieces < 0:
        raise TaskFailed("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
    return {"Attributes": {"pieces": {"N": str(pieces)}}}


@handlers.task("arn:aws:states:::sqs:sendMessage.waitForTaskToken")
def send_message(event, context):
    # What it returns is what sending the message gave. The Task ends when the token comes back: here, at once.
    context.send_task_success({"shelf": "B-12"}, task_token=event["MessageBody"]["taskToken"])
    return {"MessageId": "1"}


@handlers.task("arn:aws:states:::batch:submitJob.sync")
def submit_job(event, context):
    # Of a job it returns the end.
    return {"JobId": "job-1", "Status": "SUCCEEDED", "Parameters": event["Parameters"]}
