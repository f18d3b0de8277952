"""What values may come in from outside, and a sentence for those that may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Kind(NamedTuple):
    """A kind of value: its name for messages, and a test."""

    name: str
    accepts: Callable[[Any], bool]


def whole(low: int, high: int) -> Kind:
    """Whole numbers of a range, both ends included."""
    return Kind(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Kind:
    """Numbers of a range, both ends included."""
    return Kind(
        f"a number from {low} to {high}", lambda value: type(value) in (int, float) and bool(low <= value <= high)
    )


def _or_null(kind: Kind) -> Kind:
    return Kind(f"{kind.name} or null", lambda value: value is None or kind.accepts(value))


TEXT = Kind("text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("a JSON object", lambda value: isinstance(value, dict))
#: What can stand in a header: no line breaks, ASCII only.
HEADER = Kind(
    "a number or ASCII text in one line",
    lambda value: type(value) in (int, float, str) and str(value).isascii() and str(value).isprintable(),
)
INDEX = _or_null(Kind("an index", lambda value: type(value) is int))
ITEM = _or_null(Kind("an item's id or index", lambda value: type(value) in (int, str)))
OPTIONAL_TEXT = _or_null(TEXT)


def shown(value: Any) -> str:
    """A value for a message: escaped and not too long."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_nested(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more levels of arrays and objects than these."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (levels == 0 or any(is_nested(child, levels - 1) for child in inner))


def check(what: str, given: Any, kinds: Mapping[str, Kind]) -> None:
    """Refuse everything but an object of known names and values of their kinds.

    Raises:
        ValueError: Says which name or value it is, and what is expected.
    """
    if type(given) is not dict:
        raise ValueError(f"{what} is a JSON object, not {shown(given)}")
    for name, value in given.items():
        if name not in kinds:
            raise ValueError(f"{what} has no {shown(name)}; known: {', '.join(kinds) or 'nothing'}")
        if not kinds[name].accepts(value):
            raise ValueError(f"{name} is {kinds[name].name}, not {shown(value)}")
