"""The buttons that the UI shows beside a task of the export operator.

A task puts the address of a link into an XCom, since the UI has neither connections nor rendered arguments: Airflow 2
asks for the link when the page is opened, Airflow 3 when the task ends, and keeps it in the XCom of the same key.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_provider_achieveit._compat import BaseOperatorLink, Context, get_xcom
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, table_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.lake.sinks.objects import Store

log = logging.getLogger(__name__)

#: The console of each partition of AWS, by how the host of its S3 ends; the first that fits.
_AWS_CONSOLES = {
    "amazonaws.com.cn": "console.amazonaws.cn",
    "amazonaws.com": "console.aws.amazon.com",
}
_GOVERNMENT = "us-gov-"
#: The attribute of a task that holds what it has noted, by the key of the XCom.
_NOTED = "_achieveit_links"


class _XComLink(BaseOperatorLink):
    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address that the task has noted; empty text where there is none. Never raises."""
        noted = getattr(operator, _NOTED, {})
        # Airflow 3 asks in the task's own process, and makes an error line of an XCom that is not there.
        if self.xcom_key in noted:
            return str(noted[self.xcom_key])
        address = None
        with _only_warning(self.name):
            address = get_xcom(ti_key, self.xcom_key)
        return address if isinstance(address, str) else ""


class AchieveItSnapshotLink(_XComLink):
    """Leads to where a task's snapshots lie, in the console of the store."""

    name = "Landed snapshot"
    xcom_key = "achieveit_snapshot_url"


class AchieveItPlanLink(_XComLink):
    """Leads to the plan in AchieveIt, by the template `plan_url` of the connection."""

    name = "Plan in AchieveIt"
    xcom_key = "achieveit_plan_url"


def note_plan(context: Context, hook: AchieveItHook, plan_ids: Sequence[str]) -> None:
    """Note the address of the plan; of many plans in one task none is meant."""
    with _only_warning(AchieveItPlanLink.name):
        address = hook.plan_url(plan_ids[0]) if len(plan_ids) == 1 else None
        _note(context, AchieveItPlanLink.xcom_key, address)


def note_snapshots(context: Context, store: Store, landed: Sequence[Manifest]) -> None:
    """Note where the snapshots lie that have landed: the snapshot, or of several plans the folder of all.

    Iceberg tables lie where their catalog says, so there is none for them.
    """
    with _only_warning(AchieveItSnapshotLink.name):
        address = None
        if landed and landed[0]["table_format"] != "iceberg":
            address = console_url(store.fs, store.uri(_folder(landed)))
        _note(context, AchieveItSnapshotLink.xcom_key, address)


def _folder(landed: Sequence[Manifest]) -> str:
    first = landed[0]
    if len(landed) == 1 and first["table_format"] == "parquet":
        return f"{table_prefix(PLAN_ITEMS_TABLE, first['plan_id'])}/snapshot={first['snapshot']}"
    return PLAN_ITEMS_TABLE


def console_url(fs: Any, uri: str) -> str | None:
    """Return the address of a folder in the console of its store.

    Args:
        fs: The filesystem, which knows the server: another one than the provider's own has no console of theirs.
        uri: The folder.

    Returns:
        The address; None for local files, for a server of somebody else, and for Azure, whose portal asks for
        subscription and resource group, which no connection has.
    """
    scheme, _, path = uri.partition("://")
    bucket, _, key = path.partition("/")
    if scheme in ("s3", "s3a"):
        host = urlsplit(fs.s3.meta.endpoint_url).hostname or ""
        console = next((there for end, there in _AWS_CONSOLES.items() if host.endswith(f".{end}")), None)
        if console is not None and _GOVERNMENT in host:
            console = "console.amazonaws-us-gov.com"
        return console and f"https://{console}/s3/buckets/{quote(bucket)}?prefix={quote(key, safe='')}/"
    if scheme in ("gs", "gcs") and (urlsplit(fs.base).hostname or "").endswith(".googleapis.com"):
        return f"https://console.cloud.google.com/storage/browser/{quote(bucket)}/{quote(key)}"
    return None


@contextmanager
def _only_warning(name: str) -> Iterator[None]:
    """Warn of whatever goes wrong: neither a page nor a task must fail for a link."""
    try:
        yield
    except Exception as error:
        log.warning("There is no link %r: %s: %s", name, type(error).__name__, error)


def _note(context: Context, key: str, address: str | None) -> None:
    task: Any = context.get("task")
    if task is not None:
        task.__dict__.setdefault(_NOTED, {})[key] = address or ""
    instance: Any = context.get("ti")
    if address and instance is not None:
        instance.xcom_push(key=key, value=address)
