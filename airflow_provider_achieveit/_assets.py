"""The assets of landed plans, and the events that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_achieveit._compat import Asset, AssetAlias, Context, alias_extra
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, table_prefix

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.lake.sinks.objects import Store

#: The alias through which every export sends the event of its plan's asset.
LANDED_PLANS = "achieveit_landed_plans"

#: What the UI shows for a mapped export: the plan's name once it is known, until then its id. Airflow wants text of at
#: most 250 characters, and fails the task for anything else; with native rendering, the first word keeps a plan named
#: "2026" from being a number.
MAP_INDEX_TEMPLATE = "Plan: {{ achieveit_plan_name | default(task.plan_id or task.plan_ids) | string | truncate(100) }}"


def plan_asset(store: Store, plan_id: str) -> Asset:
    """Return the asset of a plan: its URI is where the plan's snapshots lie, its name is the same.

    Airflow takes ASCII only, and cuts a URI at `#` and `?`: these, blanks and `%` are percent-encoded.

    Raises:
        AchieveItConfigError: Airflow takes no such URI for an asset.
    """
    uri = re.sub(
        r"[^!-~]|[#?%]", lambda found: quote(found[0], safe=""), store.uri(table_prefix(PLAN_ITEMS_TABLE, plan_id))
    )
    try:
        return Asset(uri)
    except ValueError as error:
        what = f"destination: Airflow refuses {shown(uri)} as the URI of an asset ({error})"
        raise AchieveItConfigError(what) from error


def with_alias(outlets: Any) -> list[Any]:
    """Return a task's outlets with the alias of landed plans among them."""
    given = outlets if isinstance(outlets, list | tuple) else [outlets] if outlets else []
    alias = AssetAlias(LANDED_PLANS)
    return [*given] if alias in given else [*given, alias]


def send_events(context: Context, outlets: Sequence[Any], landed: Sequence[tuple[Asset, Manifest]]) -> None:
    """Send an event for each plan that has landed.

    An asset is known by its URI: where the DAG declares one with the URI of a plan, whatever its name, that is the
    plan's event. Other assets that the DAG declares get the manifest of a single plan as well.
    """
    events: Any = context.get("outlet_events")
    if events is None:
        return
    declared = [outlet for outlet in outlets if isinstance(outlet, Asset)]
    if len(landed) == 1:
        for outlet in declared:
            events[outlet].extra = landed[0][1]
    for asset, manifest in landed:
        same = [outlet for outlet in declared if outlet.uri == asset.uri]
        for outlet in same:
            events[outlet].extra = manifest
        # Two events of one URI would start twice whoever waits for it.
        if not same:
            events[AssetAlias(LANDED_PLANS)].add(asset, extra=alias_extra(manifest))


def show_plan_name(context: Context, manifest: Manifest) -> None:
    """Put the plan's name where Airflow looks for it when it renders `MAP_INDEX_TEMPLATE` after the task."""
    if manifest["plan_name"]:
        values: Any = context
        values["achieveit_plan_name"] = shown(manifest["plan_name"]).strip("'\"")
