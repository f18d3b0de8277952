"""The manifest: what a snapshot is, where it lies, and that it is complete. It is written last."""

from __future__ import annotations

import json
import re
from typing import Any

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.sinks.objects import Store

#: A manifest, as the README lists its keys: JSON values only.
Manifest = dict[str, Any]

_LABEL = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._:+@-]{1,128}")


def check_label(label: str) -> str:
    """Return a snapshot label that is safe within a path; an Airflow run_id is one.

    Raises:
        AchieveItConfigError: It has other characters, starts with a dot, has two dots in a row, or is too long.
    """
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        what = f'snapshot {label!r} is not 1 to 128 letters, digits and "._:+@-" (no dot at the start, no "..")'
        raise AchieveItConfigError(what)
    return label


def table_key(table: str, plan_id: str, label: str) -> str:
    """Return the key of a table's Parquet file. `plan`, not `plan_id`, because the file has a `plan_id` column."""
    return f"{table}/plan={plan_id}/snapshot={label}/{table}.parquet"


def manifest_key(plan_id: str, label: str) -> str:
    """Return the key of a snapshot's manifest."""
    return f"_manifests/plan={plan_id}/snapshot={label}.json"


def latest_key(plan_id: str) -> str:
    """Return the key of the copy of the manifest that was published last."""
    return f"_manifests/plan={plan_id}/latest.json"


def encode(manifest: Manifest) -> bytes:
    """Write a manifest as JSON."""
    return json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"


def read_latest(store: Store, plan_id: str) -> Manifest | None:
    """Return the latest manifest of a plan, or None if nothing has landed.

    Raises:
        AchieveItStoreError: It can't be read, or is no manifest.
    """
    key = latest_key(plan_id)
    body = store.read(key)
    if body is None:
        return None
    try:
        manifest: Manifest = json.loads(body)
        PlanVersion.from_json(manifest["version"])
        for name, kind in (("rows", int), ("files", list), ("consistent", bool), ("snapshot", str)):
            if type(manifest[name]) is not kind:
                raise TypeError(name)
        check_label(manifest["snapshot"])
        for file in manifest["files"]:
            if type(file["table"]) is not str or type(file["bytes"]) is not int:
                raise TypeError("files")
    except (ValueError, KeyError, TypeError) as error:
        raise AchieveItManifestError(
            f"{store.uri(key)} is no manifest of this package ({error!r})", plan_id=plan_id
        ) from error
    return manifest


def landed_version(manifest: Manifest | None) -> PlanVersion | None:
    """Return the plan version that has landed; None if none has, or what has is not proven to be one."""
    if manifest is None or not manifest["consistent"]:
        return None
    return PlanVersion.from_json(manifest["version"])
