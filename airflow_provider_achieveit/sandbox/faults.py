"""Scripted faults: what goes wrong at which request, and how it looks on the wire."""

from __future__ import annotations

import asyncio
import base64
import http
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from airflow_provider_achieveit.sandbox.plans import OPERATIONS, check_arguments

Fault = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
JSON = b"application/json; charset=utf-8"

_ANSWERS = {"status", "body", "body_base64", "content_type", "retry_after", "retry_after_date", "html", "redirect"}
_WIRE = {"trickle", "trickle_headers", "truncate", "reset", "close"}
_KNOWN = {"hang"} | _ANSWERS | _WIRE | set(OPERATIONS)


@dataclass(slots=True)
class Answer:
    """A response, before anything goes wrong with the connection."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers with those that follow from the body."""
        length = str(len(self.body)).encode()
        return [(b"content-type", self.content_type), (b"content-length", length), *self.headers]


@dataclass(slots=True)
class Rule:
    """One line of a script."""

    fault: Fault
    at: int | None = None
    plan: str | None = None
    seen: int = 0

    @classmethod
    def parse(cls, line: Mapping[str, Any]) -> Rule:
        """Check a line such as `{"at": 2, "plan": "p1", "fault": {"status": 500}}`.

        Raises:
            ValueError: It is not such a line.
        """
        if not isinstance(line, Mapping) or set(line) - {"at", "plan", "fault"} or not line.get("fault"):
            raise ValueError(f"a line of a script is {{at?, plan?, fault: {{...}}}}, not {line!r}")
        fault, at = line["fault"], line.get("at")
        if at is not None and (not isinstance(at, int) or at < 1):
            raise ValueError(f"`at` counts requests from 1, so it can't be {at!r}")
        if unknown := set(fault) - _KNOWN:
            raise ValueError(f"unknown fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(_KNOWN))}")
        for operation in OPERATIONS.keys() & fault.keys():
            check_arguments(operation, edit_arguments(fault, operation)[1])
        return cls(fault, at, line.get("plan"))

    def strikes(self, plan_id: str | None) -> bool:
        """Count a request that this line is about, and say whether it is the one."""
        if self.plan is not None and self.plan != plan_id:
            return False
        self.seen += 1
        return self.at is None or self.at == self.seen


def edit_arguments(fault: Fault, operation: str) -> tuple[str | None, dict[str, Any]]:
    """The plan that an edit in a fault names, if it names one, and the arguments of the edit."""
    arguments = {} if fault[operation] is True else dict(fault[operation])
    return arguments.pop("plan", None), arguments


def faulty_answer(fault: Fault) -> Answer | None:
    """The response that a fault puts in the place of the real one; None where it leaves the response alone."""
    if _ANSWERS.isdisjoint(fault):
        return None
    body = fault.get("body", base64.b64decode(fault.get("body_base64", "")))
    answer = Answer(fault.get("status", 200), body.encode() if isinstance(body, str) else body)
    if fault.get("html"):
        answer.body = b"<!DOCTYPE html>\n<html><body><h1>We will be right back</h1></body></html>\n"
        answer.content_type = b"text/html; charset=utf-8"
    if "content_type" in fault:
        answer.content_type = str(fault["content_type"]).encode("latin-1")
    if "redirect" in fault:
        answer.status = fault.get("status", 302)
        answer.headers.append((b"location", str(fault["redirect"]).encode("latin-1")))
    if "retry_after" in fault:
        answer.headers.append((b"retry-after", str(fault["retry_after"]).encode("latin-1")))
    if "retry_after_date" in fault:
        date = formatdate(time.time() + fault["retry_after_date"], usegmt=True)
        answer.headers.append((b"retry-after", date.encode()))
    return answer


async def client_left(receive: Receive, seconds: float) -> bool:
    """Wait, but no longer than the client does.

    Returns:
        True when the connection was closed before the time was up.
    """

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(disconnected(), seconds)
    except TimeoutError:
        return False
    return True


def is_about_the_wire(fault: Fault) -> bool:
    """Whether a fault is about the connection, which ASGI knows nothing of."""
    return not _WIRE.isdisjoint(fault)


async def send_on_wire(fault: Fault, answer: Answer, transport: asyncio.Transport, receive: Receive) -> None:
    """Write a response past the web server, slowly or in part, and end the connection as the fault says."""
    head, body = _head(answer), answer.body
    if "truncate" in fault:
        body = body[: fault["truncate"]]
    elif fault.get("reset") or fault.get("close"):
        head = body = b""
    slow = fault.get("trickle_headers")
    for data, pause in ((head, slow), (body, fault.get("trickle", slow))):
        if pause is None:
            transport.write(data)
            continue
        for byte in data:
            transport.write(bytes((byte,)))
            if await client_left(receive, pause):
                return
    if fault.get("reset"):
        await client_left(receive, 0.02)  # what was sent may arrive first
        # Closing with a linger time of zero sends RST in the place of FIN.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await client_left(receive, 10)  # the web server takes the request for answered once the connection is gone


def _head(answer: Answer) -> bytes:
    try:
        phrase = http.HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {answer.status} {phrase}".encode()]
    lines += [name + b": " + value for name, value in (*answer.all_headers(), (b"connection", b"close"))]
    return b"\r\n".join(lines) + b"\r\n\r\n"
