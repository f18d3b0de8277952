"""The manifest: what a snapshot is, where it lies, and that it is complete. It is written last."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.plan_version import PlanVersion, format_timestamp, parse_timestamp
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.json_check import check_json
from airflow_provider_achieveit.lake.options import TableFormat

#: Bytes that are read of a manifest at most; real ones have a few thousand.
MAX_BYTES = 4 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class VersionEntry(TypedDict):
    """A plan version, as `PlanVersion.to_json` writes it."""

    total_count: int
    last_updated: str | None
    item_id: str | None


class TableEntry(TypedDict):
    """A table of a snapshot.

    `path` is a full URI without a connection id, `key` the same relative to the destination. In a table format, `bytes`
    and `sha256` are those of the file that was committed, `version` is the table's version or snapshot id, and
    `written_by` is what wrote that file: another version of pyarrow gives the same rows other bytes.
    """

    table: str
    path: str
    key: str
    rows: int
    bytes: int
    sha256: str
    written_by: NotRequired[str]
    version: NotRequired[str | int | None]


class Previous(TypedDict):
    """The snapshot that `changes` and `max_shrink` compare with."""

    snapshot: str
    content_hash: str
    rows: int


class ChangeCounts(TypedDict):
    """Number of items that were added, removed and changed since the previous snapshot."""

    added: int
    removed: int
    changed: int


class Run(TypedDict, total=False):
    """The Airflow task that asked for an export, as far as it is known."""

    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None


class Manifest(Run):
    """A landed snapshot, in JSON values. `docs` and README describe the keys."""

    plan_id: str
    plan_name: str | None
    snapshot: str
    rows: int
    version: VersionEntry
    consistent: bool
    content_hash: str
    schema_hash: str
    rescued_values: int
    table_format: TableFormat
    files: list[TableEntry]
    previous: Previous | None
    changes: ChangeCounts | None
    #: When the plan was in this state, by the exporting machine's clock. Of two exports, the later read wins.
    version_read_at: str
    started_at: str
    finished_at: str
    requests: int
    attempts: int
    provider_version: str


class NotAManifestError(ValueError):
    """A text that no version of this package wrote as a manifest; the message is short, whatever the text."""


def build_manifest(
    *,
    plan_id: str,
    plan_name: str | None,
    label: str,
    rows: int,
    version: PlanVersion,
    consistent: bool,
    content_hash: str,
    schema_hash: str,
    rescued_values: int,
    table_format: TableFormat,
    read_at: datetime,
    started: datetime,
    finished: datetime,
    requests: int,
    attempts: int,
    previous: Previous | None = None,
    changes: ChangeCounts | None = None,
    run: Run | None = None,
) -> Manifest:
    """Return the manifest of a snapshot that is about to land; the sink fills `files`."""
    manifest: Manifest = {
        "plan_id": plan_id,
        "plan_name": plan_name,
        "snapshot": label,
        "rows": rows,
        "version": cast("VersionEntry", version.to_json()),
        "consistent": consistent,
        "content_hash": content_hash,
        "schema_hash": schema_hash,
        "rescued_values": rescued_values,
        "table_format": table_format,
        "files": [],
        "previous": previous,
        "changes": changes,
        "version_read_at": format_timestamp(read_at),
        "started_at": format_timestamp(started),
        "finished_at": format_timestamp(finished),
        "requests": requests,
        "attempts": attempts,
        "provider_version": __version__,
    }
    manifest.update(cast("Any", run or {}))
    return manifest


def encode(manifest: Manifest) -> bytes:
    """Write a manifest as JSON."""
    return json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"


def decode(body: bytes, plan_id: str | None = None) -> Manifest:
    """Read a manifest that any version of this package wrote; what older ones lack is filled in.

    Args:
        body: The object.
        plan_id: The plan whose manifest it has to be.

    Raises:
        NotAManifestError: It is not one.
    """
    try:
        value = json.loads(body)
        value = _with_later_keys(value)
        check_json(value, Manifest)
        manifest = cast("Manifest", value)
        PlanVersion.from_json(manifest["version"])
        parse_timestamp(manifest["version_read_at"])
        _check_contents(manifest, plan_id)
    except RecursionError:
        raise NotAManifestError("it is nested too deeply") from None
    except NotAManifestError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAManifestError(f"{error!s:.150}") from None
    return manifest


def _with_later_keys(value: Any) -> dict[str, Any]:
    """Add the keys that came after version 0.1.0."""
    if not isinstance(value, dict):
        raise NotAManifestError(f"it is a JSON {type(value).__name__}, not an object")
    plan_id, label = value.get("plan_id"), value.get("snapshot")
    files = value.get("files")
    if isinstance(files, list):
        files = [
            {"key": layout.table_key(str(file.get("table"))[:100], str(plan_id)[:100], str(label)[:200]), **file}
            if isinstance(file, dict)
            else file
            for file in files
        ]
    later = {"table_format": "parquet", "previous": None, "changes": None, "version_read_at": value.get("started_at")}
    return {**later, **value, "files": files}


def _check_contents(manifest: Manifest, plan_id: str | None) -> None:
    """Check what types do not say: labels, names and numbers from which keys and comparisons are made."""
    if not layout.is_plan_id(manifest["plan_id"]) or plan_id not in (None, manifest["plan_id"]):
        raise NotAManifestError(f"plan_id {manifest['plan_id']!r:.80} is not the plan's")
    if not layout.is_readable_label(manifest["snapshot"]):
        raise NotAManifestError(f"snapshot {manifest['snapshot']!r:.150} is not a label")
    if not any(file["table"] == layout.PLAN_ITEMS_TABLE for file in manifest["files"]):
        raise NotAManifestError("files has no plan_items")
    for entry in manifest["files"]:
        if not layout.is_table(entry["table"]):
            raise NotAManifestError(f"files.table {entry['table']!r:.80} is not a table")
        if not _SHA256.fullmatch(entry["sha256"]):
            raise NotAManifestError(f"files.sha256 {entry['sha256']!r:.80} is not a SHA-256")
    numbers: list[Mapping[str, Any]] = [manifest, *manifest["files"]]
    if any(number.get(key, 0) < 0 for number in numbers for key in ("rows", "bytes", "rescued_values", "attempts")):
        raise NotAManifestError("a number of rows or bytes is below 0")


def landed_version(manifest: Manifest | None) -> PlanVersion | None:
    """Return the plan version that has landed; None if none has, or what has is not proven to be one."""
    if manifest is None or not manifest["consistent"]:
        return None
    return PlanVersion.from_json(manifest["version"])


def read_time(manifest: Manifest) -> datetime:
    """Return when the plan was in the state that the manifest describes: later reads win."""
    return parse_timestamp(manifest["version_read_at"])


def file_keys(manifest: Manifest) -> list[str]:
    """Return the keys of a snapshot's Parquet files, in the order of `files`.

    They are made, and not taken from the manifest: who can write one must not make us read or remove something else.
    """
    plan_id, label = manifest["plan_id"], manifest["snapshot"]
    return [layout.table_key(entry["table"], plan_id, label) for entry in manifest["files"]]
