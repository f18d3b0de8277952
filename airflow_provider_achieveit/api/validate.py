"""Checks of single values: of arguments, of rendered templates, and of the fields of a connection.

Each takes the name of the value and the value, and returns it in its type or raises an `AchieveItConfigError` that
names both. A connection in URI form and a rendered template hold nothing but text, so that text is taken for numbers
and booleans as well; `None`, the text `None` and empty text mean that nothing was given.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from airflow_provider_achieveit.api.errors import AchieveItConfigError

#: "Sort Key Options" of the vendor's page "Exporting Plan Items".
SORT_KEYS = (
    "name", "sequenceId", "level", "status", "start", "due", "currentValue", "lastUpdated", "assignedToFullName",
    "updates", "alignsTo", "assignedByFullName", "assignedToEmailAddress", "baseline", "target", "created",
    "dependentOn", "description", "indentedName", "lastProgressUpdateUser", "updateFrequencyDescription", "planName",
)  # fmt: skip
SORT_DIRECTIONS = ("asc", "desc")

_PLAN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

#: Python writes out no number of thousands of digits.
_LARGE = 10**100

#: Characters of a value that a message shows.
_SHOWN = 100


def shown(value: object) -> str:
    """Return a value as messages and logs show it: in quotes if it is text, escaped, and at most a line long.

    People who edit plans, and servers, can put line breaks, terminal escapes and megabytes into a value.
    """
    if isinstance(value, str | bytes):
        text = repr(value[:_SHOWN])
        return text if len(value) <= _SHOWN else f"{text}… ({len(value)} long)"
    try:
        text = _SHORT.repr(value)
    except Exception:  # whatever the value's own class does
        text = f"<{type(value).__name__}>"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: 2 * _SHOWN])
    return text if len(text) < 2 * _SHOWN else f"{text}…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHOWN


def check_fields(instance: Any) -> None:
    """Parse the fields of a dataclass, each with the function that its metadata names `parse`; none given, the default.

    Raises:
        AchieveItConfigError: A value cannot be used.
    """
    for declared in fields(instance):
        if "parse" in declared.metadata:
            value = getattr(instance, declared.name)
            checked = declared.metadata["parse"](declared.name, value) if is_given(value) else declared.default
            object.__setattr__(instance, declared.name, checked)


def is_given(value: object) -> bool:
    """Return whether there is a value: not None, which templates write as `None`, and not empty text."""
    return not (value is None or (isinstance(value, str) and value.strip() in ("", "None")))


def text(name: str, value: Any) -> str:
    """Return text; a whole number becomes its digits, since templates can be rendered to Python's own types.

    Raises:
        AchieveItConfigError: It is neither, or holds half a character (a lone surrogate).
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGE:
        value = str(value)
    if not isinstance(value, str):
        raise AchieveItConfigError(f"{name} {shown(value)} is not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise AchieveItConfigError(f"{name} {shown(value)} holds half a character, a lone surrogate") from None
    return value


def number(name: str, value: Any, *, minimum: float, maximum: float) -> float:
    """Return a number within limits.

    Raises:
        AchieveItConfigError: It is not a number, or not within the limits.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise AchieveItConfigError(f"{name} {shown(value)} is not a number") from None
    return _within(name, value, result, minimum, maximum)


def integer(name: str, value: Any, *, minimum: float, maximum: float) -> int:
    """Return a whole number within limits; 5.0 is one.

    Raises:
        AchieveItConfigError: It is not a whole number, or not within the limits.
    """
    try:
        result = int(value) if isinstance(value, str) else value
        if isinstance(result, bool) or not isinstance(result, int | float) or int(result) != result:
            raise TypeError
        result = int(result)
    except (TypeError, ValueError, OverflowError):
        raise AchieveItConfigError(f"{name} {shown(value)} is not an integer") from None
    return int(_within(name, value, result, minimum, maximum))


def _within(name: str, value: Any, result: float, minimum: float, maximum: float) -> float:
    if not minimum <= result <= maximum:
        raise AchieveItConfigError(f"{name} {shown(value)} is not within {minimum} to {maximum}")
    return result


def boolean(name: str, value: Any) -> bool:
    """Return a boolean; the texts `true` and `false` are one, in any case.

    Raises:
        AchieveItConfigError: It is neither.
    """
    result = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(result, bool):
        raise AchieveItConfigError(f"{name} {shown(value)} is neither true nor false")
    return result


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices.

    Raises:
        AchieveItConfigError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        allowed = f"neither {choices[0]} nor {choices[1]}" if len(choices) == 2 else f"none of {', '.join(choices)}"
        raise AchieveItConfigError(f"{name} {shown(value)} is {allowed}")
    return value


def check_plan_id(plan_id: Any, name: str = "plan_id") -> str:
    """Return a plan id that is safe within a URL and a path.

    Raises:
        AchieveItConfigError: It is not 1 to 64 letters, digits and hyphens.
    """
    if not isinstance(plan_id, str) or not _PLAN_ID.fullmatch(plan_id):
        raise AchieveItConfigError(f"{name} {shown(plan_id)} is not 1 to 64 letters, digits and hyphens")
    return plan_id


def check_sort(sort_key: Any, sort_direction: Any) -> None:
    """Accept the 22 documented sort keys and both directions.

    Raises:
        AchieveItConfigError: Anything else.
    """
    if not isinstance(sort_key, str) or sort_key not in SORT_KEYS:
        raise AchieveItConfigError(f"sort_key {shown(sort_key)} is none of {', '.join(SORT_KEYS)}")
    choice("sort_direction", sort_direction, SORT_DIRECTIONS)


def check_api_key(api_key: Any) -> str:
    """Return the key as it stands in the header, after `API-KEY `. No message shows it.

    Raises:
        AchieveItConfigError: It is missing, masked, in quotes, has a prefix, or characters that no header may carry.
    """
    if not isinstance(api_key, str) or not api_key.strip():
        what = "is empty or not text: it belongs in the password field of the Airflow connection"
    elif re.match(r"\s*(authorization\b|api-key[\s:=])", api_key, re.IGNORECASE):
        what = 'starts with "API-KEY", which is added to it: the password is the bare key'
    elif api_key[0] == api_key[-1] and api_key[0] in "\"'`":
        what = "is in quotes: the password is the bare key"
    elif not api_key.strip("* "):
        what = "is the *** that Airflow shows instead of a password: enter the key again"
    elif not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
        what = "has spaces, line breaks or other characters that a header cannot carry"
    else:
        return api_key
    raise AchieveItConfigError(f"The API key {what}")
