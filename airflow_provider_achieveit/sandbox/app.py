"""The API itself: the answers to `GET /exports/plans/<plan id>`, and the faults that a script puts in their way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from airflow_provider_achieveit.sandbox.faults import (
    Answer,
    client_left,
    faulty_answer,
    is_about_the_wire,
    send_on_wire,
)
from airflow_provider_achieveit.sandbox.sorting import SORT_KEYS
from airflow_provider_achieveit.sandbox.state import render

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from airflow_provider_achieveit.sandbox.service import Service

_PATH = re.compile("/exports/plans/([^/]+)")
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
_DEFAULT_TAKE = 100


class Api:
    """An ASGI application that serves the plans of a service.

    Args:
        service: What to serve.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own name
        service = self.service
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        match = _PATH.fullmatch(scope["path"])
        request, faults = service.arrive(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            headers,
            match[1] if match else None,
        )
        try:
            wait = service.latency + sum(fault.get("hang", 0) for fault in faults)
            if wait and await client_left(receive, wait):
                return
            service.before_answer(request, faults)
            fault = {name: value for fault in faults for name, value in fault.items()}
            answer = faulty_answer(fault) or self._answer(request.method, request.plan, request.query, headers)
            transport = service.transports.get(tuple(scope["client"]))
            if not (fault.get("reset") or fault.get("close")):
                request.status = answer.status
            if is_about_the_wire(fault) and transport is not None:
                await send_on_wire(fault, answer, transport, receive)
                return
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.all_headers()})
            await send({"type": "http.response.body", "body": answer.body})
        finally:
            service.leave(request)

    def _answer(self, method: str, plan_id: str | None, query: str, headers: dict[str, str]) -> Answer:
        service = self.service
        if headers.get("authorization") != f"API-KEY {service.key}":
            answer = _problem(401, "The API key is missing or not valid.")
            answer.headers.append((b"www-authenticate", b"API-KEY"))
            return answer
        plan = service.plans.get(plan_id or "")
        if plan is None:
            return _problem(404, "There is no such plan.")
        if method != "GET":
            return _problem(405, "Only GET is allowed here.")
        if plan.forbidden:
            return _problem(403, "The user of this API key has no access to the requested plan.")
        try:
            page = _page(query, service.max_take)
        except ValueError as error:
            return _problem(400, str(error))
        if not service.gzip:
            return Answer(200, plan.state().page(*page))
        vary = (b"vary", b"accept-encoding")
        if _ACCEPTS_GZIP.search(headers.get("accept-encoding", "")):
            return Answer(200, plan.state().gzipped_page(*page), headers=[(b"content-encoding", b"gzip"), vary])
        return Answer(200, plan.state().page(*page), headers=[vary])


def _problem(status: int, message: str) -> Answer:
    return Answer(status, render({"message": message}))


def _page(query: str, max_take: int) -> tuple[str, bool, int, int]:
    """The sort key, whether it is descending, skip and take, out of a query string."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    sort_key, direction = given.get("sortKey", "sequenceId"), given.get("sortDirection", "asc")
    if sort_key not in SORT_KEYS:
        raise ValueError(f"sortKey {sort_key!r} is not known.")
    if direction not in ("asc", "desc"):
        raise ValueError(f"sortDirection is asc or desc, not {direction!r}.")
    skip, take = _count(given, "skip", 0), _count(given, "take", _DEFAULT_TAKE)
    return sort_key, direction == "desc", skip, min(take, max_take)


def _count(given: dict[str, str], name: str, default: int) -> int:
    value = given.get(name, str(default))
    if not re.fullmatch("[0-9]{1,10}", value):
        raise ValueError(f"{name} is a whole number from 0, not {value!r}.")
    return int(value)
