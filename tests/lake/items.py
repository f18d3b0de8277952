"""Items as the API writes them, also odd ones, and what they must come back as."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_achieveit.lake.column_types import DECIMAL, DOUBLE, INT32, TIMESTAMP
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, RESCUED, Field

#: What an item has at least.
LEAST = {"id": "a", "lastUpdated": "2025-01-01T00:00:00Z"}


class Raw(str):
    """JSON text that is to stand in the body as it is."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may repeat."""


def encode(value: Any) -> str:
    """Write JSON, with what Python's encoder has no word for."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs | Mapping):
        pairs = value if isinstance(value, Pairs) else value.items()
        return "{" + ",".join([f"{encode(key)}:{encode(inner)}" for key, inner in pairs]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    # UTF-8, but for lone surrogates, which have none.
    escaped = isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
    return json.dumps(value, ensure_ascii=escaped)


def page(*items: Any, total: Any = None) -> bytes:
    """The body of a page."""
    return encode({"items": list(items), "totalCount": len(items) if total is None else total}).encode()


def item(**fields: Any) -> dict[str, Any]:
    """An item with these fields and little else."""
    return {**LEAST, **fields}


class Number(str):
    """A JSON number by its digits; no text equals it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return type(other) is Number and str(self) == str(other)


def parse(text: str) -> Any:
    """Read JSON without losing anything: numbers as `Number`, objects with repeated keys as lists of all values."""

    def merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        return {key: several[0] if len(several) == 1 else several for key, several in values.items()}

    return json.loads(text, object_pairs_hook=merged, parse_int=Number, parse_float=Number, parse_constant=str)


def restored(row: Mapping[str, Any]) -> Any:
    """Put an item together again from its columns and its rescued values."""
    original = _restored_object(row, ITEM_FIELDS)
    for path, value in parse(row[RESCUED] or "{}").items():
        *way, last = _steps(path)
        here: Any = original
        for step in way:
            if isinstance(here, dict):
                here = here.setdefault(step, {})
            else:
                here[step] = {} if here[step] is None else here[step]
                here = here[step]
        assert isinstance(last, str) or here[last] is None, f"{path} was there already"
        assert isinstance(last, int) or last not in here, f"{path} was there already"
        here[last] = value
    return original


def _restored_object(row: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    values = {}
    for field in fields:
        value = row[field.column]
        if value is not None and field.fields:
            value = [None if inner is None else _restored_object(inner, field.fields) for inner in value]
        if value is not None:
            values[field.api_name] = value
    return values


def _steps(path: str) -> Iterator[str | int]:
    """Take a path such as `checklists[0].items[1]["odd key"]` apart."""
    while path:
        if name := re.match(r"\.?(\w+)", path, re.ASCII):
            yield name[1]
            path = path[name.end() :]
        elif position := re.match(r"\[(\d+)\]", path):
            yield int(position[1])
            path = path[position.end() :]
        else:
            key, length = json.JSONDecoder().raw_decode(path, 1)
            assert path[0] == "["
            assert path[length] == "]"
            yield key
            path = path[length + 1 :]


def meaning(value: Any, fields: tuple[Field, ...] = ITEM_FIELDS) -> Any:
    """What an object says, whatever the format of its numbers and times: without nulls of its own."""
    if not isinstance(value, dict):
        return value
    known = {field.api_name: field for field in fields}
    return {key: _meaning_of(inner, known.get(key)) for key, inner in value.items() if inner is not None}


def _meaning_of(value: Any, field: Field | None) -> Any:
    if field is None:
        return value
    if field.fields:
        return [meaning(inner, field.fields) for inner in value] if isinstance(value, list) else value
    if field.type == TIMESTAMP:
        return _as_moment(value)
    if field.type == DOUBLE and isinstance(value, float | Number):
        return ("number", float(value))
    if field.type == DECIMAL or (field.type == INT32 and (isinstance(value, Number) or type(value) is int)):
        return _as_number(value)
    return value


def _as_number(value: Any) -> Any:
    if isinstance(value, int | str | Decimal) and re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", str(value)):
        with suppress(InvalidOperation):
            return ("number", Decimal(value))
    return value


def _as_moment(value: Any) -> Any:
    """A time in UTC, digits beyond microseconds cut; what is no time stays as it is."""
    if isinstance(value, str) and not isinstance(value, Number):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return value
