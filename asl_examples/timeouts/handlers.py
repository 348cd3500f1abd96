"""Slow functions. They are asynchronous, so that a time limit can stop them; one in a thread could only be given up."""

import asyncio

from engine import Handlers

handlers = Handlers()


@handlers.task("slow-once")
async def slow_once(event, context):
    if context.attempt == 0:
        await asyncio.sleep(60)
    return f"in time at attempt {context.attempt + 1}"


@handlers.task("function-limit", timeout_seconds=0.25)
async def function_limit(event, context):
    await asyncio.sleep(60)


@handlers.task("ask-nobody")
async def ask_nobody(event, context):
    return {"mailed": True}
