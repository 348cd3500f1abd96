"""An office. Each person has a way of dealing with mail."""


def ask_person(event, context):
    token = event["taskToken"]
    match event["person"]:
        case "team lead":
            return {"mailed": True}  # who never opens it
        case "manager":
            context.heartbeat()  # opens the mail, and then forgets about it
        case "head of department":
            context.send_task_failure("NotMyDecision", "ask the director", task_token=token)
        case "director":
            context.send_task_success({"decision": "approved"}, task_token=token)
    return {"mailed": True}
