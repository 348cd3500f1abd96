"""Invoking functions from the same process: as over HTTP, without the way."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from engine.http.faults import Fault
from engine.http.requests import Received
from engine.lambda_emulator.calls import Call, new_trace_id
from engine.lambda_emulator.errors import LambdaError
from engine.lambda_emulator.faults import told_of
from engine.lambda_emulator.identifiers import INVOKE_MAX, named
from engine.lambda_emulator.operations.invoking import invoke
from engine.lambda_emulator.rest_json import codecs, error_answer

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.rest_json import Answer


class Invoker:
    """Calls functions of one emulator; in its event loop."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._codec = codecs()["Invoke"]
        self._draw_bits = random.Random().getrandbits  # noqa: S311  request ids are no secret

    def has(self, function: str, qualifier: str | None) -> bool:
        """Whether such a function is known here; nobody is waited for, so what others just made may not be."""
        try:
            key = named(self._emulator, function, qualifier, length_max=INVOKE_MAX).key
        except LambdaError:
            return False
        return self._emulator.library.knows(key)

    async def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        invocation_type: str = "RequestResponse",
        client_context: str | None = None,
        log_type: str | None = None,
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers in Lambda's spelling, and body of what Lambda's Invoke answers; errors are answers too."""
        request_id = str(uuid.UUID(int=self._draw_bits(128), version=4))
        try:
            answer = await self._answer(
                function, payload, request_id,
                {"x-amz-invocation-type": invocation_type, "x-amz-client-context": client_context,
                 "x-amz-log-type": log_type},
                qualifier,
            )  # fmt: skip
        except (LambdaError, Fault) as error:
            answer = error_answer(error)
        except Exception as error:  # noqa: BLE001  as at the top of a request
            answer = error_answer(told_of(error, "Invoke", request_id))
        return answer.status, self._headers(answer, request_id), answer.body

    async def _answer(
        self, function: str, payload: bytes, request_id: str, headers: dict[str, str | None], qualifier: str | None
    ) -> Answer:
        """Raises LambdaError, Fault."""
        given = {name: text for name, text in headers.items() if text is not None}
        query = "" if qualifier is None else urlencode({"Qualifier": qualifier})
        arguments = self._codec.arguments(Received("POST", "/", query, given, payload), {"FunctionName": function})
        call = Call(request_id=request_id, trace_id=new_trace_id(self._emulator.clock.now(), self._draw_bits))
        return await invoke(self._emulator, call=call, **arguments)

    def _headers(self, answer: Answer, request_id: str) -> list[tuple[str, str]]:
        """With those that a server puts to them."""
        date = self._emulator.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return [
            *((name.decode(), value.decode("latin-1")) for name, value in answer.headers),
            ("x-amzn-RequestId", request_id),
            ("Connection", "keep-alive"),
            ("Content-Length", str(len(answer.body))),
            ("Date", date),
        ]
