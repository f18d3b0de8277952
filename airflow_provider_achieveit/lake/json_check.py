"""Check a JSON value against a type: one declaration for the reader of the code, mypy, and what comes from outside."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints, is_typeddict


def check_json(value: Any, hint: Any, where: str = "") -> None:
    """Check that a JSON value has a declared type; keys that the type does not know are left alone.

    Args:
        value: What `json.loads` returned.
        hint: A TypedDict, a list, a Literal, `X | None`, `str`, `int` or `bool`.
        where: The key of the value, for the message.

    Raises:
        ValueError: It has another type, or an integer is out of range; the message is short, whatever the value.
    """
    if is_typeddict(hint):
        _check_object(value, hint, where)
    elif get_origin(hint) is UnionType:
        _check_union(value, get_args(hint), where)
    elif get_origin(hint) is list:
        if not isinstance(value, list):
            raise _wrong(value, where, "a list")
        for entry in value:
            check_json(entry, get_args(hint)[0], where)
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise _wrong(value, where, f"one of {', '.join(get_args(hint))}")
    elif type(value) is not hint:  # and not `isinstance`: True is an int
        raise _wrong(value, where, hint.__name__)
    elif hint is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"{where} is out of range")


def _check_object(value: Any, hint: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(value, where or "it", "an object")
    for key, below in _fields(hint).items():
        # Of annotations that are text until they are read, Python does not notice NotRequired by itself.
        optional = get_origin(below) is NotRequired
        if key in value:
            check_json(value[key], get_args(below)[0] if optional else below, f"{where}.{key}".lstrip("."))
        elif key in hint.__required_keys__ and not optional:
            raise ValueError(f"{where}.{key} is missing".lstrip("."))


@cache
def _fields(hint: Any) -> dict[str, Any]:
    """Return the types of a TypedDict's keys; working these out costs more than all checks of a manifest."""
    return get_type_hints(hint, include_extras=True)


def _check_union(value: Any, kinds: tuple[Any, ...], where: str) -> None:
    if value is None and type(None) in kinds:
        return
    others = [kind for kind in kinds if kind is not type(None)]
    check_json(value, next((kind for kind in others if type(value) is kind), others[0]), where)


def _wrong(value: Any, where: str, wanted: str) -> ValueError:
    shown = f"a {type(value).__name__}" if isinstance(value, dict | list) else f"{value!r:.80}"
    return ValueError(f"{where} is {shown} and not {wanted}")
