"""The API itself: the answers to `GET /exports/plans/<plan id>`."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from airflow_provider_achieveit.sandbox.checks import shown
from airflow_provider_achieveit.sandbox.faults import Answer, problem
from airflow_provider_achieveit.sandbox.sorting import SORT_KEYS

if TYPE_CHECKING:
    from email.message import Message

    from airflow_provider_achieveit.sandbox.server import Sandbox

_PATH = re.compile("/exports/plans/([^/]+)")
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
_DEFAULT_TAKE = 100


@dataclass(eq=False, frozen=True, slots=True)
class Request:
    """A request as it came in."""

    method: str
    path: str
    query: str
    headers: Message

    @property
    def plan(self) -> str | None:
        """The plan id in the path."""
        match = _PATH.fullmatch(self.path)
        return match[1] if match else None


def answer(sandbox: Sandbox, request: Request) -> Answer:
    """Answer a request as AchieveIt does."""
    if request.headers.get("Authorization") != f"API-KEY {sandbox.key}":
        refused = problem(401, "The API key is missing or not valid.")
        refused.headers.append(("www-authenticate", "API-KEY"))
        return refused
    plan = sandbox.plans.get(request.plan or "")
    if plan is None:
        return problem(404, "There is no such plan.")
    if request.method != "GET":
        return problem(405, "Only GET is allowed here.")
    if plan.forbidden:
        return problem(403, "The user of this API key has no access to the requested plan.")
    try:
        page = _page(request.query, sandbox.max_take)
    except ValueError as error:
        return problem(400, str(error))
    body = plan.state().page(*page)
    if not sandbox.gzip:
        return Answer(200, body)
    vary = ("vary", "accept-encoding")
    if not _ACCEPTS_GZIP.search(request.headers.get("Accept-Encoding", "")):
        return Answer(200, body, headers=[vary])
    return Answer(200, gzip.compress(body, compresslevel=1, mtime=0), headers=[("content-encoding", "gzip"), vary])


def _page(query: str, max_take: int) -> tuple[str, bool, int, int]:
    """The sort key, whether it is descending, skip and take, out of a query string."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    sort_key, direction = given.get("sortKey", "sequenceId"), given.get("sortDirection", "asc")
    if sort_key not in SORT_KEYS:
        raise ValueError(f"sortKey {shown(sort_key)} is not known.")
    if direction not in ("asc", "desc"):
        raise ValueError(f"sortDirection is asc or desc, not {shown(direction)}.")
    skip, take = _count(given, "skip", 0), _count(given, "take", _DEFAULT_TAKE)
    return sort_key, direction == "desc", skip, min(take, max_take)


def _count(given: dict[str, str], name: str, default: int) -> int:
    value = given.get(name, str(default))
    if not re.fullmatch("[0-9]{1,10}", value):
        raise ValueError(f"{name} is a whole number from 0, not {shown(value)}.")
    return int(value)
