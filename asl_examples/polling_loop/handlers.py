"""A video converter that is never in a hurry: how long it takes depends on the video."""

_MINUTES = {"cat.mov": 12, "broken.mov": 3}


def start_job(event, context):
    return {"jobId": f"job-{event['video']}"}


def ask_job(event, context):
    video = event["jobId"].removeprefix("job-")
    if event["minutesSinceStart"] < _MINUTES.get(video, 60):
        return {"status": "RUNNING"}
    if video.startswith("broken"):
        return {"status": "FAILED", "reason": "the file ends in the middle of a picture"}
    return {"status": "DONE", "file": video.replace(".mov", ".webm")}
