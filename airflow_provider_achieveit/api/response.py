"""What an answer must be: a 200 with a page of plan items; everything else is an error with a name."""

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
    429: AchieveItRateLimitError,
}
_ERRORS_BY_CLASS: dict[int, type[AchieveItError]] = {
    3: AchieveItRedirectError,
    4: AchieveItRefusedError,
    5: AchieveItServerError,
}


def body_of(response: Response) -> bytes:
    """Return the body of a 200; that of any other status is never shown, since a server could echo the key in it."""
    status = response.status
    if status == 200:
        return response.body
    what = f"AchieveIt answered {status}"
    if response.retry_after is not None:
        what += f" and asks to wait {response.retry_after:.0f} s"
    error = _ERRORS.get(status) or _ERRORS_BY_CLASS.get(status // 100, AchieveItShapeError)
    raise error(what, status=status, retry_after=response.retry_after)


def malformed_body(body: bytes) -> AchieveItError:
    """Return the error for a body that is not JSON, or was cut short: the request is sent again."""
    return AchieveItMalformedError(f"the body ({len(body)} bytes) is not JSON", status=200)


def wrong_shape(problem: str) -> AchieveItError:
    """Return the error for a body that is JSON, but not this API's."""
    return AchieveItShapeError(f"the answer is not a page of plan items: {problem}", status=200)


def decode_items(body: bytes) -> tuple[list[dict[str, Any]], int]:
    """Turn a body into Python objects: the items, and totalCount."""
    try:
        # One odd value must not keep a plan from being read: bytes that are no UTF-8 become lone surrogates, and
        # integers of thousands of digits, which Python's int refuses, become decimals.
        page = json.loads(body.decode("utf-8-sig", "surrogateescape"), parse_int=_integer)
    except RecursionError:
        raise wrong_shape("it is nested too deeply") from None
    except ValueError:
        # Not `from` that error: it holds the body, in which a server could echo the key.
        raise malformed_body(body) from None
    if not isinstance(page, dict):
        raise wrong_shape(f"a JSON {type(page).__name__} instead of an object")
    items, total = page.get("items"), page.get("totalCount")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise wrong_shape("items is not a list of objects")
    if type(total) is not int or total < 0:
        raise wrong_shape("totalCount is not a number of items")
    return items, total


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= 4000 else Decimal(digits)
