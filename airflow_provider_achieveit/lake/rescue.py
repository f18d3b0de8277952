"""The slow path of a page: set aside what does not fit its column, so that the rest does.

Nothing is lost: a value that its column cannot hold, and a field that the schema does not know, goes into
`_rescued_data`, a JSON object from path in the API's spelling (`target`, `checklists[0].owner`) to the original value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from airflow_provider_achieveit.api.client import malformed_body, wrong_shape
from airflow_provider_achieveit.api.version import format_timestamp, parse_timestamp
from airflow_provider_achieveit.lake.schema import DECIMAL, ITEM_FIELDS, TIMESTAMP, Field

#: The field of a cleaned body that carries the item's `_rescued_data`. No field of the API can be taken for it:
#: whatever the schema does not know is moved.
RESCUED_FIELD = "_rescued_data"

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLAIN_KEY = re.compile(r"\w+", re.ASCII)
_EXACT = Context(prec=60)
_NANO = Decimal("1e-9")
#: Below this, a double holds every whole number.
SAFE_FLOAT = 2.0**53


class _Literal(str):
    """A number as its digits stand in the body, or NaN, Infinity, -Infinity, which are no JSON."""

    __slots__ = ()


class _Repeated(list[Any]):
    """The values of a key that an object has more than once."""


class _DoesNotFit(Exception):
    pass


def set_aside(body: bytes) -> tuple[bytes, list[list[str]]]:
    """Move what does not fit into each item's `_rescued_data`.

    Args:
        body: A page as it came from the API.

    Returns:
        A body that the fast path accepts, and for each item the paths that were set aside, with list positions left
        out (`["checklists[].owner", "target"]`).

    Raises:
        AchieveItDataError: The body is not JSON, or no page of plan items.
    """
    try:
        return _set_aside(body)
    except RecursionError:  # hundreds of levels
        raise wrong_shape("it is nested too deeply") from None


def _set_aside(body: bytes) -> tuple[bytes, list[list[str]]]:
    try:
        # Bytes that are no UTF-8 become lone surrogates, which no column takes and JSON can escape.
        page = json.loads(
            body.decode("utf-8", "surrogateescape"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_Literal,
            parse_constant=_Literal,
            strict=False,
        )
    except ValueError:
        # Not `from` that error: it holds the body, in which a server could echo the key.
        raise malformed_body(body) from None
    if type(page) is not dict or type(page.get("items")) is not list:
        raise wrong_shape("items is not a list")
    total = page.get("totalCount")
    if type(total) is not int or not 0 <= total < 2**63:
        raise wrong_shape("totalCount is not a number of items")
    paths: list[list[str]] = []
    items = [_cleaned_item(item, paths) for item in page["items"]]
    return json.dumps({"items": items, "totalCount": total}, ensure_ascii=False).encode(), paths


def _cleaned_item(item: Any, paths: list[list[str]]) -> dict[str, Any]:
    if type(item) is not dict:
        raise wrong_shape("an item is not an object")
    rescued: dict[str, Any] = {}
    cleaned = _fit_object(item, _FITS, "", rescued)
    paths.append([re.sub(r"\[\d+\]", "[]", path) for path in rescued])
    if rescued:
        cleaned[RESCUED_FIELD] = _dump(rescued)
    return cleaned


def _fit_object(value: dict[str, Any], fits: dict[str, Any], prefix: str, rescued: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that fit; put the others into `rescued` under their path. Null is never drift."""
    cleaned = {}
    for key, inner in value.items():
        if inner is None:
            continue
        fit = fits.get(key)
        try:
            if fit is None:
                raise _DoesNotFit
            if type(fit) is dict:
                cleaned[key] = _fit_list(inner, fit, _joined(prefix, key), rescued)
            else:
                cleaned[key] = fit(inner)
        except _DoesNotFit:
            rescued[_joined(prefix, key)] = inner
    return cleaned


def _fit_list(value: Any, fits: dict[str, Any], path: str, rescued: dict[str, Any]) -> list[dict[str, Any] | None]:
    if type(value) is not list:
        raise _DoesNotFit
    cleaned: list[dict[str, Any] | None] = []
    for position, inner in enumerate(value):
        here = f"{path}[{position}]"
        if type(inner) is dict:
            cleaned.append(_fit_object(inner, fits, here, rescued))
        else:
            cleaned.append(None)
            if inner is not None:
                rescued[here] = inner
    return cleaned


def _joined(prefix: str, key: str) -> str:
    """Append a key to a path; one that could be taken for a path itself is quoted."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{prefix}[{json.dumps(key)}]"
    return f"{prefix}.{key}" if prefix else key


def _fit_text(value: Any) -> str:
    if type(value) is str and (value.isascii() or _is_utf8(value)):
        return value
    raise _DoesNotFit


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fit_int(value: Any) -> int:
    if type(value) is _Literal and _NUMBER.fullmatch(value):
        number = _exact_decimal(value)
        value = int(number) if number == number.to_integral_value() else None
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    raise _DoesNotFit


def _fit_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _DoesNotFit


def _fit_float(value: Any) -> float:
    """A fraction is rounded to a double, as by every reader of JSON; a whole number that would change is not taken."""
    if type(value) is int or type(value) is _Literal:
        number = float(value)
        if abs(number) < SAFE_FLOAT or (math.isfinite(number) and Decimal(repr(number)) == Decimal(value)):
            return number
    raise _DoesNotFit


def _fit_timestamp(value: Any) -> str:
    if type(value) is str:
        try:
            return format_timestamp(parse_timestamp(value))
        except ValueError:
            pass
    raise _DoesNotFit


def _fit_decimal(value: Any) -> str:
    """Numbers in a string are what the API promises; a bare number says the same, so it fits as well."""
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"{_exact_decimal(value):f}"
    raise _DoesNotFit


def _exact_decimal(text: str) -> Decimal:
    """Return the number if decimal128(38, 9) holds it exactly."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits
        raise _DoesNotFit from None
    if number == 0:
        return Decimal(0)
    # Looking at the magnitude first keeps 1e999999999 from being written out.
    if -9 <= number.adjusted() <= 28:
        quantized = number.quantize(_NANO, context=_EXACT)
        if quantized == number:
            return quantized
    raise _DoesNotFit


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of an object's pairs, keeping every value of a key that stands there twice."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        unique.update({key: _Repeated(several) for key, several in values.items() if len(several) > 1})
    return unique


def _integer(digits: str) -> int | _Literal:
    # Python refuses to parse integers of thousands of digits, and has no -0, which a double has.
    return int(digits) if len(digits) < 25 and digits != "-0" else _Literal(digits)


def _dump(value: Any) -> str:
    """Write JSON, numbers with the digits they came with; what JSON has no word for (NaN) becomes a string."""
    if isinstance(value, dict):
        return "{" + ", ".join([f"{json.dumps(key)}: {_dump(inner)}" for key, inner in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ", ".join([_dump(inner) for inner in value]) + "]"
    if isinstance(value, _Literal) and _NUMBER.fullmatch(value):
        return str(value)
    return json.dumps(value)


_FIT_BY_TYPE: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): _fit_text,
    pa.int32(): _fit_int,
    pa.bool_(): _fit_bool,
    pa.float64(): _fit_float,
    TIMESTAMP: _fit_timestamp,
    DECIMAL: _fit_decimal,
}


def _fits_of(fields: tuple[Field, ...]) -> dict[str, Any]:
    """What each key may hold: a function, or the same for the objects of a list."""
    return {field.api_name: _FIT_BY_TYPE[field.type] if field.type else _fits_of(field.fields) for field in fields}


_FITS = _fits_of(ITEM_FIELDS)
