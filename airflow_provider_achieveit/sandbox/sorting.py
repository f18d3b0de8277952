"""The 22 sort keys of the API, each as a function from an item to something that Python can compare."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_USERS = ("Ana Costa", "Björn Ito", "Chloé Smith", "Dmitri Jensen", "Elif Haddad")

Rank = tuple[Any, ...]


def rank(value: Any) -> Rank:
    """Null first, then numbers, then text, then the rest: comparable whatever a test has put into an item."""
    if value is None:
        return (0,)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, str):
        return (2, value)
    return (3, json.dumps(value))


def number(value: Any) -> Rank:
    """The rank of a number that the API writes as a string."""
    try:
        return rank(float(value))
    except (OverflowError, TypeError, ValueError):
        return rank(value)


def moment(value: Any) -> Rank:
    """The rank of a date, after all that is none; its text decides where two differ in the seventh digit only."""
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return rank(value)
    return (4, parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC), value)


def _by(field: str, ranked: Callable[[Any], Rank]) -> Callable[[dict[str, Any]], Rank]:
    return lambda item: ranked(item.get(field))


def _email(item: dict[str, Any]) -> Rank:
    """Items carry no e-mail address: take the one that the owner's name suggests."""
    name = item.get("assignedToFullName")
    return rank(".".join(name.lower().split()) + "@example.com" if isinstance(name, str) else None)


def _progress_user(item: dict[str, Any]) -> Rank:
    """Items don't say who updated their progress: take anybody, but always the same person."""
    comment_id = item.get("lastUpdateCommentId")
    if not isinstance(comment_id, str):
        return rank(None)
    return rank(_USERS[zlib.crc32(comment_id.encode("utf-8", "replace")) % len(_USERS)])


_AS_THEY_ARE = (
    "name level status assignedToFullName updates alignsTo assignedByFullName dependentOn description indentedName "
    "updateFrequencyDescription planName"
)

#: Most keys are fields of items. Where items are equal, they stay in the order of the plan.
SORT_KEYS: dict[str, Callable[[dict[str, Any]], Rank]] = {
    "sequenceId": lambda _: (),
    "assignedToEmailAddress": _email,
    "lastProgressUpdateUser": _progress_user,
    **{field: _by(field, rank) for field in _AS_THEY_ARE.split()},
    **{field: _by(field, moment) for field in ("start", "due", "created", "lastUpdated")},
    **{field: _by(field, number) for field in ("currentValue", "baseline", "target")},
}
