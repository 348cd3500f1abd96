"""A manager who answers at once, or never.

On AWS the function would only send the mail, and the answer would come through the API:
`aws stepfunctions send-task-success --task-token ... --task-output '{"by": "grace"}'`.
"""


def ask_manager(event, context):
    token = event["taskToken"]
    if event["manager"] == "grace":
        context.send_task_success({"by": "grace"}, task_token=token)
    elif event["manager"] == "scrooge":
        context.send_task_failure("Rejected", "too dear", task_token=token)
    return {"mailedTo": event["manager"]}


def pay(event, context):
    return {"receipt": f"{event['amount']} for {event['what']}"}
