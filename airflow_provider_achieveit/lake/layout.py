"""Where everything lies below a destination: the one place that builds object keys, labels and sweep patterns.

The keys are a contract: other people's queries and checks depend on them.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown

PLAN_ITEMS_TABLE = "plan_items"
#: The folder of all manifests, in every table format.
MANIFESTS = "_manifests"
#: The folder of the notes about tasks whose tries are under way.
RUNS = "_runs"
#: The table format of the destination; without this object it is Parquet.
FORMAT_KEY = f"{MANIFESTS}/format.json"
#: Folders of this name, directly below a local destination, hold copies that are about to be swapped in.
STAGING_PREFIX = ".achieveit-staging-"

_PLAN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: Labels that can be read. Version 0.1.0 wrote colons as well, over which Spark's globs fail.
_READABLE_LABEL = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._:+@-]{1,128}")
_LABEL_RULE = '1 to 128 letters, digits and "._+@-" (no dot at the start, no "..", no colon: Spark cannot read it)'
_DEFAULT_LABEL = "%Y-%m-%d"


def make_label(text: str | None, moment: datetime) -> str:
    """Return the label of a new snapshot.

    Args:
        text: A label; with a `%` in it a strftime pattern for `moment` in UTC; None for the UTC date.
        moment: When the export started.

    Raises:
        AchieveItConfigError: The label has other characters than it may have, or is too long.
    """
    if text is None:
        text = _DEFAULT_LABEL
    if not isinstance(text, str):
        raise AchieveItConfigError(f"snapshot {shown(text)} is not text")
    label = text
    if "%" in text:
        try:
            label = moment.astimezone(UTC).strftime(text)
        except ValueError:  # a surrogate or a zero byte, which no label has either
            label = ""
    if not is_readable_label(label) or ":" in label:
        made = "" if label == text else f", which makes {shown(label)},"
        raise AchieveItConfigError(f"snapshot {shown(text)}{made} is not {_LABEL_RULE}")
    return label


def is_readable_label(label: object) -> bool:
    """Return whether any version of this package may have written this label."""
    return isinstance(label, str) and _READABLE_LABEL.fullmatch(label) is not None


def is_plan_id(plan_id: object) -> bool:
    """Return whether a plan id is safe within a key."""
    return isinstance(plan_id, str) and _PLAN_ID.fullmatch(plan_id) is not None


def is_table(table: object) -> bool:
    """Return whether the name of a table is safe within a key."""
    return isinstance(table, str) and _TABLE.fullmatch(table) is not None


def table_prefix(table: str, plan_id: str) -> str:
    """Return the folder of a plan's snapshots. `plan`, not `plan_id`, because the file has a `plan_id` column."""
    return f"{table}/plan={plan_id}"


def table_key(table: str, plan_id: str, label: str) -> str:
    """Return the key of a table's Parquet file."""
    return f"{table_prefix(table, plan_id)}/snapshot={label}/{table}.parquet"


def manifests_prefix(plan_id: str) -> str:
    """Return the folder of a plan's manifests."""
    return f"{MANIFESTS}/plan={plan_id}"


def manifest_key(plan_id: str, label: str) -> str:
    """Return the key of a snapshot's manifest."""
    return f"{manifests_prefix(plan_id)}/snapshot={label}.json"


def latest_key(plan_id: str) -> str:
    """Return the key of the copy of the manifest that was published last."""
    return f"{manifests_prefix(plan_id)}/latest.json"


def run_key(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the key of the note about a task whose tries are under way."""
    identity = json.dumps([dag_id, run_id, task_id, map_index]).encode()
    return f"{RUNS}/{hashlib.sha256(identity).hexdigest()}.json"


def leftover_patterns(plan_id: str) -> list[str]:
    """Return globs of what killed exports may have left below a local destination.

    The last two are where version 0.1.0 left its copies: beside the objects.
    """
    return [
        f"{STAGING_PREFIX}*",
        f"*/plan={plan_id}/snapshot=*/.*.achieveit-tmp",
        f"{manifests_prefix(plan_id)}/.*.achieveit-tmp",
    ]
