"""Uploads that end with their caller, and their conditions: what fsspec's filesystems do not have in common."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Seconds that an upload gets to end after it was cancelled.
_GRACE = 10.0


def condition(scheme: str, token: str | None) -> dict[str, Any]:
    """Return the arguments of `put_file` with which a store writes only if the object is still what it was.

    Args:
        scheme: Of the destination.
        token: The ETag that was seen; None if there was no object.
    """
    if scheme in ("s3", "s3a"):
        # Ceph compares the ETag with the text as it is sent, and its own ETags have no quotes; the others take both.
        return {"mode": "create"} if token is None else {"IfMatch": token.strip('"')}
    if scheme in ("abfs", "abfss") and token is not None:
        from azure.core import MatchConditions  # type: ignore[import-not-found,unused-ignore]  # an extra's

        return {"etag": token, "match_condition": MatchConditions.IfNotModified}
    if scheme in ("abfs", "abfss", "gs", "gcs") and token is None:
        return {"mode": "create"}
    return {}  # gcsfs passes on no generation


def is_about_the_condition(error: BaseException) -> bool:
    """Return whether a store refused an upload because of its condition: it is not met, or the store knows none."""
    return _is(error, FileExistsError, {409, 412, 501})


def is_forbidden(error: BaseException) -> bool:
    """Return whether a store refused a request because of the caller's rights; adlfs passes on the SDK's error."""
    return _is(error, PermissionError, {403})


def _is(found: BaseException | None, kind: type[Exception], statuses: set[int]) -> bool:
    """Return whether an error, or what caused it, is of a kind or has one of some HTTP statuses."""
    while found is not None:
        response = getattr(found, "response", None)  # botocore's is a dictionary
        metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
        said = (metadata.get("HTTPStatusCode"), getattr(found, "status_code", None), getattr(found, "code", None))
        if isinstance(found, kind) or not statuses.isdisjoint(said):
            return True
        found = found.__cause__ or found.__context__
    return False


def put_file(fs: AbstractFileSystem, file: Path, path: str, **arguments: Any) -> None:
    """Upload a file as one object; when the caller is interrupted, the upload ends before the interrupt goes on.

    fsspec runs uploads in a thread of its own and only waits for them. If the waiting is interrupted, by Ctrl-C or a
    task's timeout, its own `put_file` lets the upload go on, and it would land over what the next export writes.
    """
    if not fs.async_impl:
        fs.put_file(str(file), path, **arguments)
        return
    ended = threading.Event()

    async def upload() -> None:
        try:
            await fs._put_file(str(file), path, **arguments)
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(upload(), fs.loop)
    try:
        future.result()
    except BaseException:
        future.cancel()
        ended.wait(_GRACE)
        raise
