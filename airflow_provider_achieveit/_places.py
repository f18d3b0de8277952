"""A destination's text: which place it means, and why it cannot be one. Imports nothing heavy, and opens nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import is_given, shown

#: Schemes whose stores replace an object as a whole, with what has to be installed for them. This was tried for each.
SCHEMES = {
    "file": "",
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "s3a": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google",
    "gcs": "apache-airflow-providers-google",
    "abfs": "apache-airflow-providers-microsoft-azure and adlfs",
    "abfss": "apache-airflow-providers-microsoft-azure and adlfs",
}
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NO_SLASHES = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/?([^/].*)")
_LIST = re.compile(r"""[\[(]\s*["'](.*?)["'].*[\])]""")


@dataclass(frozen=True)
class Place:
    """A place where snapshots land.

    Attributes:
        scheme: One of `SCHEMES`.
        path: An absolute path, or bucket and key.
        conn_id: The Airflow connection of the store; None for the store's own default credentials.
    """

    scheme: str
    path: str
    conn_id: str | None


def parse_destination(destination: Any, conn_id: str | None = None) -> Place:
    """Read a destination: a URI with a scheme, or an absolute path.

    Args:
        destination: The rendered argument.
        conn_id: The connection that was given beside it; the URI can name one as well (`s3://connection@bucket/key`).

    Raises:
        AchieveItConfigError: It is something else; the message says what it probably should be.
    """
    if not is_given(destination):
        raise _refused(destination, "is empty")
    if not isinstance(destination, str):
        raise _refused(destination, "is not text")
    _check_characters(destination)
    found = _URI.fullmatch(destination)
    if found is None and not destination.startswith("/"):
        raise _refused(destination, f"is neither a URI with a scheme nor an absolute path: {_likely(destination)}")
    scheme, rest = (found[1].lower(), found[2]) if found else ("file", destination)
    if scheme not in SCHEMES:
        what = (
            f"cannot be used: {scheme}:// is not known to replace an object as a whole, so an upload that breaks could "
            f"destroy the earlier one; known are {', '.join(SCHEMES)}"
        )
        raise _refused(destination, what)
    if {"..", "."} & set(rest.split("/")):
        raise _refused(destination, 'has "." or ".." in its path: write the path out')
    return _local(destination, rest, conn_id) if scheme == "file" else _remote(destination, scheme, rest, conn_id)


def _check_characters(destination: str) -> None:
    """Refuse what other programs would take for something else than a part of a name."""
    if "{{" in destination or "{%" in destination:
        raise _refused(destination, "is a template that was not rendered")
    if not destination.isprintable() or destination != destination.strip():
        raise _refused(destination, "has line breaks, blanks at an end or other characters that cannot be printed")
    if "::" in destination:
        raise _refused(destination, 'has "::", at which fsspec would cut it into two places')
    if "?versionid=" in destination.lower():
        raise _refused(destination, "names a version of an object, over which nothing can be written")


def _local(destination: str, rest: str, conn_id: str | None) -> Place:
    machine, slash, path = rest.partition("/")
    if machine not in ("", "localhost") or not slash:
        raise _refused(destination, f"names the machine {machine!r}: a file on this one is file:///{rest.lstrip('/')}")
    return Place("file", f"/{path}", conn_id)


def _remote(destination: str, scheme: str, rest: str, conn_id: str | None) -> Place:
    authority, _, key = rest.partition("/")
    named, at, bucket = authority.rpartition("@")
    if not bucket:
        raise _refused(destination, "names no bucket")
    if at and not named:
        raise _refused(destination, "names no connection before the @")
    return Place(scheme, f"{bucket}/{key}".rstrip("/"), conn_id or named or None)


def _likely(destination: str) -> str:
    """Return what somebody who wrote this probably means."""
    if (listed := _LIST.fullmatch(destination)) is not None:
        return f"give the text {shown(listed[1])} and not a list"
    if (found := _NO_SLASHES.fullmatch(destination)) is not None and found[1].lower() in SCHEMES:
        slashes = ":///" if found[1].lower() == "file" else "://"
        return f"probably {shown(f'{found[1].lower()}{slashes}{found[2]}')} is meant"
    if destination.startswith("~"):
        return f"probably {shown(f'file://{os.path.expanduser(destination)}')} is meant"  # noqa: PTH111  # of text
    local = shown(f"file://{os.path.abspath(destination)}")  # noqa: PTH100  # of text
    if destination.startswith("."):
        return f"probably {local} is meant"
    return f"probably {shown(f's3://{destination}')} is meant, with the scheme of your store, or {local}"


def _refused(destination: object, why: str) -> AchieveItConfigError:
    return AchieveItConfigError(f"destination {shown(destination)} {why}")
