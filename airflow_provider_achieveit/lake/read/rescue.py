"""Decode a page that holds odd values: set aside what does not fit its column, so that the rest does.

Nothing is lost: a value that its column cannot hold, and a field that the schema does not know, goes into
`_rescued_data`, a JSON object from path in the API's spelling (`target`, `checklists[0].owner`) to the original value.

Columns in which every value fits are still converted as a whole; only the others are looked at value by value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from contextlib import suppress
from typing import Any

import pyarrow as pa

from airflow_provider_achieveit.api.response import parse_page, wrong_shape
from airflow_provider_achieveit.lake.column_type import DoesNotFit, JsonNumber
from airflow_provider_achieveit.lake.column_types import TEXT
from airflow_provider_achieveit.lake.read.columns import cast_column, check_column, read_items
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, RESCUED, Field, wire_item

_PLAIN_KEY = re.compile(r"\w+", re.ASCII)

#: Carries an item's `_rescued_data`. No field of the API can be taken for it: what the schema does not know is moved.
_RESCUED_FIELD = Field(RESCUED, TEXT)


class _Repeated(list[Any]):
    """The values of a key that an object has more than once."""


def rescue(body: bytes, take: int) -> tuple[list[pa.Array], int, list[list[str]]]:
    """Decode a page, and move what does not fit into each item's `_rescued_data`.

    Args:
        body: A page as it came from the API.
        take: Items that were asked for.

    Returns:
        The columns of `PLAN_ITEMS`; `totalCount`; and for each item the paths that were set aside, with list positions
        left out (`["checklists[].owner", "target"]`).

    Raises:
        AchieveItDataError: The body is not JSON, or not a page of plan items.
    """
    try:
        # Python objects that have lost nothing: digits, repeated keys.
        items, total = parse_page(
            body,
            take,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=JsonNumber,
            parse_constant=JsonNumber,
            strict=False,
        )
        columns = _fitting_columns(body, items)
        paths: list[list[str]] = []
        cleaned = [_cleaned_item(item, columns, paths) for item in items]
    except RecursionError:  # hundreds of levels
        raise wrong_shape("it is nested too deeply") from None
    others = [field for field in ITEM_FIELDS if field.api_name not in columns]
    text = json.dumps({"items": cleaned, "totalCount": total}, ensure_ascii=False).encode()
    rest, _ = read_items(text, wire_item([*others, _RESCUED_FIELD]))
    for field in others:
        columns[field.api_name] = cast_column(rest.field(field.api_name), field)
    return [*(columns[field.api_name] for field in ITEM_FIELDS), rest.field(RESCUED)], total, paths


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of an object's pairs, keeping every value of a key that stands there twice."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        unique.update({key: _Repeated(several) for key, several in values.items() if len(several) > 1})
    return unique


def _integer(digits: str) -> int | JsonNumber:
    # Python refuses to parse integers of thousands of digits, and has no -0, which a double has.
    return int(digits) if len(digits) < 25 and digits != "-0" else JsonNumber(digits)


def _fitting_columns(body: bytes, items: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """Decode, as on the fast path, the columns in which every value fits; by name in the API."""
    columns: dict[str, pa.Array] = {}
    candidates = [field for field in ITEM_FIELDS if _is_readable([item.get(field.api_name) for item in items], field)]
    with suppress(DoesNotFit, pa.ArrowException):
        rows, _ = read_items(body, wire_item(candidates), ignore_other_fields=True)
        for column, field in zip(rows.flatten(), candidates, strict=True):
            with suppress(DoesNotFit, pa.ArrowException):
                check_column(column, field)
                columns[field.api_name] = cast_column(column, field)
    return columns


def _is_readable(values: list[Any], field: Field) -> bool:
    """Return whether pyarrow's JSON reader accepts these values; `check_column` validates their content later."""
    present = [value for value in values if value is not None]
    if field.type is not None:
        return field.type.is_readable(present)
    if not set(map(type, present)) <= {list}:
        return False
    objects = [inner for value in present for inner in value if inner is not None]
    if not set(map(type, objects)) <= {dict} or not set().union(*objects) <= {child.api_name for child in field.fields}:
        return False
    return all(_is_readable([inner.get(child.api_name) for inner in objects], child) for child in field.fields)


def _cleaned_item(item: dict[str, Any], fitting: Container[str], paths: list[list[str]]) -> dict[str, Any]:
    """Return the fields that are not in a fitting column, as far as they fit, and what was set aside."""
    rescued: dict[str, Any] = {}
    cleaned = _fit_object({key: item[key] for key in item if key not in fitting}, _COERCIONS, "", rescued)
    paths.append([re.sub(r"\[\d+\]", "[]", path) for path in rescued])
    if rescued:
        cleaned[RESCUED] = _dump(rescued)
    return cleaned


def _fit_object(
    value: dict[str, Any], coercions: dict[str, Any], prefix: str, rescued: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields that fit; put the others into `rescued` under their path. Null is never drift."""
    cleaned = {}
    for key, inner in value.items():
        if inner is None:
            continue
        coerce = coercions.get(key)
        try:
            if coerce is None:
                raise DoesNotFit
            if type(coerce) is dict:
                cleaned[key] = _fit_list(inner, coerce, _joined(prefix, key), rescued)
            else:
                cleaned[key] = coerce(inner)
        except DoesNotFit:
            rescued[_joined(prefix, key)] = inner
    return cleaned


def _fit_list(value: Any, coercions: dict[str, Any], path: str, rescued: dict[str, Any]) -> list[dict[str, Any] | None]:
    if type(value) is not list:
        raise DoesNotFit
    cleaned: list[dict[str, Any] | None] = []
    for position, inner in enumerate(value):
        here = f"{path}[{position}]"
        if type(inner) is dict:
            cleaned.append(_fit_object(inner, coercions, here, rescued))
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


def _dump(value: Any) -> str:
    """Write JSON, numbers with the digits they came with; NaN and Infinity, which JSON lacks, become strings."""
    if isinstance(value, dict):
        return "{" + ", ".join([f"{json.dumps(key)}: {_dump(inner)}" for key, inner in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ", ".join([_dump(inner) for inner in value]) + "]"
    if isinstance(value, JsonNumber) and value.is_number:
        return str(value)
    return json.dumps(value)


def _coercions_of(fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return, for each key, the function that converts its value; for a list of objects, the same of their keys."""
    return {field.api_name: field.type.coerce if field.type else _coercions_of(field.fields) for field in fields}


_COERCIONS = _coercions_of(ITEM_FIELDS)
