"""The state of an object: how it is told that nobody has swapped it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NO_TIME = datetime.min.replace(tzinfo=UTC)


class SwappedMeanwhileError(Exception):
    """The object is not what it was when it was looked at."""


@dataclass(frozen=True)
class ObjectState:
    """An object as it was seen: two states are equal while nobody has swapped the object.

    Attributes:
        token: The store's own mark of this content: an ETag, a generation, an inode with its times.
        size: Bytes.
        modified: When it was swapped in, by the store's clock; how exact that is differs (S3: a second).
    """

    token: str
    size: int
    modified: datetime


def remote_state(info: dict[str, Any]) -> ObjectState:
    """Return the state of an object from what S3, GCS or Azure say of it."""
    token = next((str(info[name]) for name in ("ETag", "generation", "etag") if info.get(name) is not None), "")
    modified = next((info[name] for name in ("LastModified", "updated", "last_modified") if name in info), None)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    return ObjectState(token, int(info["size"]), modified if isinstance(modified, datetime) else _NO_TIME)
