"""Readers of mail, quick and slow."""


def send_mail(event, context):
    if event["address"].startswith("quick"):
        context.send_task_success({"answer": f"yes from {event['address']}"})
