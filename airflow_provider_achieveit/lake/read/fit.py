"""What fits a column, value by value: the slow path's word for what `columns` decides for whole columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from airflow_provider_achieveit.api.plan_version import format_timestamp, parse_timestamp
from airflow_provider_achieveit.lake.read.columns import SAFE_FLOAT, DoesNotFit
from airflow_provider_achieveit.lake.schema import DECIMAL, TIMESTAMP

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EXACT = Context(prec=60)
_NANO = Decimal("1e-9")


class JsonNumber(str):
    """A number as its digits stand in the body, or NaN, Infinity, -Infinity, which are no JSON."""

    __slots__ = ()

    @property
    def is_number(self) -> bool:
        """Whether JSON has it."""
        return _NUMBER.fullmatch(self) is not None


def _text(value: Any) -> str:
    if type(value) is str and (value.isascii() or _is_utf8(value)):
        return value
    raise DoesNotFit


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _int(value: Any) -> int:
    if type(value) is JsonNumber and value.is_number:
        number = _exact_decimal(value)
        value = int(number) if number == number.to_integral_value() else None
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    raise DoesNotFit


def _bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise DoesNotFit


def _float(value: Any) -> float:
    """A fraction is rounded to a double, as by every reader of JSON; a whole number that would change is not taken."""
    if type(value) is int or type(value) is JsonNumber:
        number = float(value)
        if abs(number) < SAFE_FLOAT or (math.isfinite(number) and Decimal(repr(number)) == Decimal(value)):
            return number
    raise DoesNotFit


def _timestamp(value: Any) -> str:
    if type(value) is str:
        try:
            return format_timestamp(parse_timestamp(value))
        except ValueError:
            pass
    raise DoesNotFit


def _decimal(value: Any) -> str:
    """Numbers in a string are what the API promises; a bare number says the same, so it fits as well."""
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"{_exact_decimal(value):f}"
    raise DoesNotFit


def _exact_decimal(text: str) -> Decimal:
    """Return the number if decimal128(38, 9) holds it exactly."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits
        raise DoesNotFit from None
    if number == 0:
        return Decimal(0)
    # Looking at the magnitude first keeps 1e999999999 from being written out.
    if -9 <= number.adjusted() <= 28:
        quantized = number.quantize(_NANO, context=_EXACT)
        if quantized == number:
            return quantized
    raise DoesNotFit


#: For each type of the lake: returns the value as the column's JSON has it, or raises `DoesNotFit`.
FIT: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): _text,
    pa.int32(): _int,
    pa.bool_(): _bool,
    pa.float64(): _float,
    TIMESTAMP: _timestamp,
    DECIMAL: _decimal,
}
