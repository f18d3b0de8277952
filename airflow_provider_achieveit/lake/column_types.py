"""The types of the columns: `column_type` says what each of them answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.api.plan_version import format_timestamp, parse_timestamp
from airflow_provider_achieveit.lake.column_type import NUMBER, ColumnType, DoesNotFit, JsonNumber

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Text(ColumnType):
    arrow = wire = pa.string()
    python = frozenset({str})

    def coerce(self, value: Any) -> str:
        if type(value) is str and (value.isascii() or _is_utf8(value)):
            return value
        raise DoesNotFit


class _Bool(ColumnType):
    arrow = wire = pa.bool_()
    python = frozenset({bool})

    def coerce(self, value: Any) -> bool:
        if type(value) is bool:
            return value
        raise DoesNotFit


class _Int32(ColumnType):
    arrow = wire = pa.int32()
    python = frozenset({int})
    smallest, largest = -(2**31), 2**31 - 1

    def is_readable(self, values: Sequence[Any]) -> bool:
        # The reader refuses a body with a larger number as a whole.
        return super().is_readable(values) and (not values or (self._holds(min(values)) and self._holds(max(values))))

    def coerce(self, value: Any) -> int:
        if type(value) is JsonNumber and value.is_number:  # 1.0 and 1e2 are whole numbers
            number = DECIMAL.exact(value)
            value = int(number) if number == number.to_integral_value() else None
        if type(value) is int and self._holds(value):
            return value
        raise DoesNotFit

    def _holds(self, value: int) -> bool:
        return self.smallest <= value <= self.largest


class _Double(ColumnType):
    """A fraction is rounded to a double, as by every reader of JSON; a whole number that would change does not fit."""

    arrow = wire = pa.float64()
    python = frozenset({int, JsonNumber})
    #: A double holds every whole number below this one.
    safe = 2.0**53

    def check(self, column: pa.Array) -> None:
        # pyarrow's JSON reader takes NaN and Infinity as well.
        smallest, largest = _ends(column)
        if pc.any(pc.is_nan(column)).as_py() or smallest <= -self.safe or largest >= self.safe:
            raise DoesNotFit

    def coerce(self, value: Any) -> float:
        if type(value) is int or type(value) is JsonNumber:
            number = float(value)
            if abs(number) < self.safe or (math.isfinite(number) and Decimal(repr(number)) == Decimal(value)):
                return number
        raise DoesNotFit


class _Decimal(ColumnType):
    """A number in a string, as the API writes it; a bare number says the same and fits as well."""

    #: BigQuery's NUMERIC; also fits Snowflake, Athena, Spark and DuckDB.
    arrow = pa.decimal128(38, 9)
    wire = pa.string()
    python = frozenset({str})
    fraction_digits = arrow.scale
    whole_digits = arrow.precision - arrow.scale
    _last_digit = Decimal(1).scaleb(-fraction_digits)
    #: One digit more than the column holds, since rounding can carry.
    _rounding = Context(prec=arrow.precision + 1)

    def check(self, column: pa.Array) -> None:
        # Of numbers that are too large, pyarrow makes other ones without an error (9e35, 30 digits). Text of at most
        # this length that has no exponent cannot be too large.
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > self.whole_digits or any(pc.any(pc.match_substring(column, mark)).as_py() for mark in "eE"):
            raise DoesNotFit

    def cast(self, column: pa.Array) -> pa.Array:
        return column.cast(self.arrow)

    def coerce(self, value: Any) -> str:
        if type(value) is int:
            value = str(value)
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return f"{self.exact(value):f}"
        raise DoesNotFit

    def exact(self, text: str) -> Decimal:
        """Return the number if the column holds it exactly.

        Raises:
            DoesNotFit: It does not.
        """
        try:
            number = Decimal(text)
        except InvalidOperation:  # an exponent of 19 digits
            raise DoesNotFit from None
        if number == 0:
            return Decimal(0)
        # Looking at the magnitude first keeps 1e999999999 from being written out.
        if -self.fraction_digits <= number.adjusted() < self.whole_digits:
            quantized = number.quantize(self._last_digit, context=self._rounding)
            if quantized == number:
                return quantized
        raise DoesNotFit


class _Timestamp(ColumnType):
    """An ISO 8601 date or date-time within the years 1 to 9999; digits beyond microseconds are cut."""

    arrow = pa.timestamp("us", "UTC")
    wire = pa.string()
    python = frozenset({str})
    #: Neither Python nor most engines follow beyond these. In microseconds since 1970.
    first = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    last = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    #: Text of one of these years is a time that nanoseconds reach, whatever its offset.
    _nanosecond_years = "1678", "2261"

    def cast(self, column: pa.Array) -> pa.Array:
        # .NET writes seven digits of a second, which a cast to microseconds refuses: such text goes by way of
        # nanoseconds. Up to version 22, pyarrow wraps around where a time is beyond those (0001-01-01, .NET's "never",
        # became 1754), so the years are looked at before. As text, since they are its first four letters.
        ends = pc.min_max(column)
        earliest, latest = ends["min"].as_py() or "2000", ends["max"].as_py() or "2000"
        if self._nanosecond_years[0] <= earliest and latest[:4] <= self._nanosecond_years[1]:
            moments = _first_cast(column, (pa.timestamp("ns", "UTC"), pa.timestamp("ns")))
            if earliest < "1971":
                # The cast below cuts towards zero, which before 1970 is upwards.
                moments = pc.floor_temporal(moments, unit="microsecond")
            return moments.cast(pa.timestamp("us", moments.type.tz), safe=False).cast(self.arrow)
        moments = _first_cast(column, (self.arrow, pa.timestamp("us"))).cast(self.arrow)
        # An offset can carry a time out of the years.
        first, last = _ends(moments)
        if first < self.first or last > self.last:
            raise DoesNotFit
        return moments

    def coerce(self, value: Any) -> str:
        if type(value) is str:
            try:
                return format_timestamp(parse_timestamp(value))
            except ValueError:
                pass
        raise DoesNotFit


def _first_cast(texts: pa.Array, kinds: Sequence[pa.DataType]) -> pa.Array:
    """Cast to the first of these types that takes all texts: with an offset to UTC, without one to local time."""
    for kind in kinds:
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            continue
    raise DoesNotFit


def _ends(array: pa.Array) -> tuple[float, float]:
    """Return the smallest and the largest value, as numbers; zeros if there are none.

    As numbers, because pyarrow imports pandas, where it is installed, to compare with a Python value or to make a
    `datetime`: over a second, and 50 MB.
    """
    if not pa.types.is_floating(array.type):
        array = array.cast(pa.int64())
    ends = pc.min_max(array)
    return ends["min"].as_py() or 0, ends["max"].as_py() or 0


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


TEXT = _Text()
BOOL = _Bool()
INT32 = _Int32()
DOUBLE = _Double()
DECIMAL = _Decimal()
TIMESTAMP = _Timestamp()
