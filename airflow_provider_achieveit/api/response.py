"""Status and JSON of an answer: a page of plan items, or one of our errors."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from airflow_provider_achieveit.api.errors import (
    AchieveItError,
    AchieveItForbiddenError,
    AchieveItMalformedError,
    AchieveItNotFoundError,
    AchieveItRateLimitError,
    AchieveItRedirectError,
    AchieveItRefusedError,
    AchieveItServerError,
    AchieveItShapeError,
    AchieveItUnauthorizedError,
)
from airflow_provider_achieveit.api.transport import Response

_ERRORS: dict[int, type[AchieveItError]] = {
    401: AchieveItUnauthorizedError,
    403: AchieveItForbiddenError,
    404: AchieveItNotFoundError,
    408: AchieveItServerError,  # the request took too long to arrive
    425: AchieveItServerError,  # too early
    429: AchieveItRateLimitError,
}
_ERRORS_BY_CLASS: dict[int, type[AchieveItError]] = {
    3: AchieveItRedirectError,
    4: AchieveItRefusedError,
    5: AchieveItServerError,
}


def error_of(response: Response) -> AchieveItError | None:
    """Return the error that a status stands for; None for a 200.

    No error has the body: a server could echo the key in it.
    """
    status = response.status
    if status == 200:
        return None
    what = f"AchieveIt answered {status}"
    if response.retry_after is not None:
        what += f" and asks to wait {response.retry_after:.0f} s"
    error = _ERRORS.get(status) or _ERRORS_BY_CLASS.get(status // 100, AchieveItShapeError)
    return error(what, status=status, retry_after=response.retry_after)


def malformed_body(body: bytes) -> AchieveItError:
    """Return the error for a body that is not JSON, or was cut short: the request is sent again."""
    return AchieveItMalformedError(f"the body ({len(body)} bytes) is not JSON", status=200)


def wrong_shape(problem: str) -> AchieveItError:
    """Return the error for a body that is JSON, but not this API's."""
    return AchieveItShapeError(f"the answer is not a page of plan items: {problem}", status=200)


def check_size(items: int, take: int) -> None:
    """Refuse a page with more items than were asked for: nothing would bound it.

    Raises:
        AchieveItShapeError: It has more.
    """
    if items > take:
        raise wrong_shape(f"it has {items} items, and {take} were asked for")


def parse_page(body: bytes, take: int, **hooks: Any) -> tuple[list[dict[str, Any]], int]:
    """Parse a page into Python objects: the items, and totalCount.

    One odd value must not keep a plan from being read: bytes that are no UTF-8 become lone surrogates, and integers of
    thousands of digits, which Python's `int` refuses, become decimals.

    Args:
        body: JSON.
        take: Items that were asked for.
        hooks: More arguments of `json.loads`, such as `parse_float`.

    Raises:
        AchieveItMalformedError: It is not JSON.
        AchieveItShapeError: It is not a page of items.
    """
    try:
        page = json.loads(body.decode("utf-8-sig", "surrogateescape"), **{"parse_int": _integer, **hooks})
    except RecursionError:
        raise wrong_shape("it is nested too deeply") from None
    except ValueError:
        # Not `from` that error: it holds the body, in which a server could echo the key.
        raise malformed_body(body) from None
    if type(page) is not dict:
        raise wrong_shape(f"a JSON {type(page).__name__} instead of an object")
    items, total = page.get("items"), page.get("totalCount")
    if type(items) is not list or any(type(item) is not dict for item in items):
        raise wrong_shape("items is not a list of objects")
    check_size(len(items), take)
    if type(total) is not int or not 0 <= total < 2**63:
        raise wrong_shape("totalCount is not a number of items")
    return items, total


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= 4000 else Decimal(digits)
