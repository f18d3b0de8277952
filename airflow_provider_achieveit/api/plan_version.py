"""The plan version: how many items a plan has, and when the newest was updated. It shows consistency and change."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_achieveit.api.validate import shown

#: Python takes any character between date and time, and so the offset of `2026-11-23+05:00` for a time. Up to version
#: 3.13 it refuses the hour 24.
_DATE_AND_TIME = re.compile(r"[0-9W-]{7,10}([Tt ](?!24).+)?")


def parse_timestamp(text: str) -> datetime:
    """Read an ISO 8601 date or date-time, as the API may write it.

    Nothing documents the API's format. No offset means UTC; digits beyond microseconds are cut.

    Raises:
        ValueError: The text is not an ISO 8601 date or date-time, or not within the years 1 to 9999.
    """
    if not _DATE_AND_TIME.fullmatch(text):
        raise ValueError(f"{shown(text)} is not an ISO 8601 date or date-time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{shown(text)} is not within the years 1 to 9999 in UTC") from error


def format_timestamp(moment: datetime) -> str:
    """Write a time in UTC as `2026-11-23T10:02:03.123456Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(frozen=True, eq=False)
class PlanVersion:
    """How many items a plan has, and when the newest of them was updated.

    Two versions are equal when `total_count` and `last_updated` are. `item_id` is there for people: several
    items can share the newest time, and nobody knows which of them the API puts first.

    A version is unknown where there are items, but not the newest time: some `lastUpdated` cannot be read, or all are
    missing. Nobody can say that such a plan is unchanged, so an unknown version equals no version, not even itself.

    Attributes:
        total_count: Number of items that the key's user can see.
        last_updated: Newest `lastUpdated` in UTC; None for an empty plan and in an unknown version.
        item_id: An item with that `lastUpdated`.
        item_name: That item's name, where it is at hand; it is not kept in manifests and events.
        unreadable: A `lastUpdated` that is not a time, shortened and escaped for messages; not kept either.
    """

    total_count: int
    last_updated: datetime | None
    item_id: str | None = None
    item_name: str | None = field(default=None, repr=False)
    unreadable: str | None = field(default=None, kw_only=True)

    @property
    def is_known(self) -> bool:
        """Whether the version can be compared with another one."""
        return self.last_updated is not None or self.total_count == 0

    @property
    def why_unknown(self) -> str:
        """Why the version is unknown, for messages."""
        return "lastUpdated is missing" if self.unreadable is None else f"lastUpdated {self.unreadable} is not a time"

    def __str__(self) -> str:
        newest = "unknown" if self.last_updated is None else format_timestamp(self.last_updated)
        return f"{self.total_count} items, the newest update {newest}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlanVersion):
            return NotImplemented
        return self.is_known and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[int, datetime | None]:
        return self.total_count, self.last_updated

    def to_json(self) -> dict[str, Any]:
        """Return the version as it stands in manifests and events."""
        return {
            "total_count": self.total_count,
            "last_updated": None if self.last_updated is None else format_timestamp(self.last_updated),
            "item_id": self.item_id,
        }

    @classmethod
    def from_json(cls, value: Any) -> PlanVersion:
        """Read a version back from a manifest, an event or a state store.

        Raises:
            ValueError: It is not what `to_json` writes.
        """
        try:
            total, text, item_id = value["total_count"], value["last_updated"], value.get("item_id")
            if type(total) is not int or total < 0 or not isinstance(item_id, str | None):
                raise TypeError
            return cls(total, None if text is None else parse_timestamp(text), item_id)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"{shown(value)} is not a plan version") from error
