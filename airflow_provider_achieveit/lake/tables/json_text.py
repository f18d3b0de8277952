"""Values of a column as JSON text in one canonical form: two values are the same when their texts are."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

#: Lists whose entries have one of these fields are in its order; all others are sets.
_ORDERED_BY = ("sort_index", "sort_order")

_Encode = Callable[[Any], str]

#: Made once: `json.dumps` makes an encoder for each value.
_plain_text = json.JSONEncoder(ensure_ascii=False).encode


def json_texts(values: pa.Array) -> list[str | None]:
    """Return each value of a column as JSON text, and None for a null and for an empty list.

    Numbers are written as they are, decimals without trailing zeros and never with an exponent; times are text such as
    `"2026-11-23T10:02:03.123456Z"`. Lists are in canonical order (see `_list_encoder`), their objects have every column
    of the table. A null list inside an object is written as the empty one.
    """
    encode = _encoder(values.type)
    # Times become text in Arrow: pyarrow imports pandas, where it is installed, to make a datetime.
    texts = [
        None if value is None else encode(value) for value in values.cast(_with_text_for_times(values.type)).to_pylist()
    ]
    return [None if text == "[]" else text for text in texts] if pa.types.is_list(values.type) else texts


def is_same_json(one: str | None, other: str | None) -> bool:
    """Whether two JSON texts mean the same: the order of keys, blanks, and how a number is written do not matter."""
    if one is None or other is None:
        return one == other
    try:
        return bool(_parse(one) == _parse(other))
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        return one == other


def _parse(text: str) -> Any:
    return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_number)


def _number(text: str) -> tuple[str, Decimal | str]:
    """Return a number as something that equals no truth value and no text, and that lost no digit."""
    try:
        return "number", Decimal(text)
    except InvalidOperation:  # an exponent that Decimal cannot hold
        return "number", text


def _with_text_for_times(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_with_text_for_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_text_for_times(field.type)) for field in kind])
    return kind


def _encoder(kind: pa.DataType) -> _Encode:
    """Return the function that writes a value of this type, which is not null, unless it is a list."""
    if pa.types.is_list(kind):
        return _list_encoder(kind.value_type)
    if pa.types.is_struct(kind):
        return _struct_encoder(kind)
    if pa.types.is_timestamp(kind):
        return lambda text: f'"{text.replace(" ", "T")}"'
    if pa.types.is_decimal(kind):
        return _decimal_text
    if pa.types.is_floating(kind):
        return lambda value: _plain_text(value + 0.0)  # -0.0 equals 0.0
    return _plain_text


def _decimal_text(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _struct_encoder(kind: pa.StructType) -> _Encode:
    fields = [(field.name, pa.types.is_list(field.type), _encoder(field.type)) for field in kind]

    def encode(value: dict[str, Any]) -> str:
        pairs = []
        for name, is_list, encode_field in fields:
            inner = value[name]
            text = "null" if inner is None and not is_list else encode_field(inner)
            pairs.append(f'"{name}": {text}')
        return "{" + ", ".join(pairs) + "}"

    return encode


def _list_encoder(kind: pa.DataType) -> _Encode:
    """Write a list in the order of its entries' sort index; those without one, or with the same, by their text.

    The text of an object begins with its id, so a set is in the order of its ids. Where an entry stands in the list
    says nothing. A null stands last.
    """
    names = [field.name for field in kind] if pa.types.is_struct(kind) else []
    order = next((name for name in _ORDERED_BY if name in names), None)
    encode_entry = _encoder(kind)

    def key(entry: tuple[Any, str]) -> tuple[bool, bool, int, str]:
        value, text = entry
        index = value[order] if order and value is not None else None
        return value is None, index is None, index or 0, text

    def encode(values: list[Any] | None) -> str:
        entries = [(value, "null" if value is None else encode_entry(value)) for value in values or ()]
        return "[" + ", ".join([text for _, text in sorted(entries, key=key)]) + "]"

    return encode
