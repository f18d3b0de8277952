"""The trigger of asset watchers, and what a DAG that it starts needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_achieveit._compat import BaseEventTrigger
from airflow_provider_achieveit._waiting import Waiting, check_interval, require_one
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.change import Change
from airflow_provider_achieveit.lake.options import Detect
from airflow_provider_achieveit.triggers._looks import Looks
from airflow_provider_achieveit.triggers._watch import MAX_BACKOFF, Gate, PlanWatch
from airflow_provider_achieveit.triggers._watermark import StateStore, Watermark

__all__ = ["MAX_BACKOFF", "AchieveItPlanChangeTrigger", "plan_ids_of"]


class AchieveItPlanChangeTrigger(BaseEventTrigger):
    """Sends an event for each new version of a plan, or of each of many plans; it never ends.

    A DAG that runs whenever one of the plans changes:

        plans = Asset(
            "achieveit://plans",
            watchers=[AssetWatcher(name="changes", trigger=AchieveItPlanChangeTrigger(plan_ids=[...]))],
        )
        with DAG("on_change", schedule=[plans]): ...

    The first sight of a plan is recorded silently, unless `destination` or `since` says what was known before. Every
    failure is waited out, with a back-off that grows to `MAX_BACKOFF`: for each plan by itself, and for all of them
    while the key is refused. Delivery is at least once: the watermark of a plan is saved one look after its event was
    handed over, in Airflow's asset state store (3.3), else it lives in memory.

    Give two assets that watch the same plans different arguments (such as another `poll_interval`): Airflow runs
    identical triggers as one, whose watermarks then can't be stored.

    Args:
        plan_id: Id of the plan.
        plan_ids: Or the ids of many plans; the looks at them are spread over `poll_interval`.
        achieveit_conn_id: Airflow connection of AchieveIt.
        poll_interval: Seconds between two looks at a plan, 0.1 or more.
        destination: Compare with what has landed there, at first sight.
        destination_conn_id: Airflow connection of the destination.
        since: Compare with this ISO 8601 time, at first sight.
        detect: `version`: one request a look; `content`: reads the plan (with `destination` only).

    Raises:
        AchieveItConfigError: An argument can't be used.
    """

    def __init__(
        self,
        *,
        plan_id: str | None = None,
        plan_ids: Sequence[str] | None = None,
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        poll_interval: float = 60,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        since: str | None = None,
        detect: Detect = "version",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own is untyped
        require_one(plan_id=plan_id, plan_ids=plan_ids)
        values = {
            "plan_id": plan_id,
            "plan_ids": plan_ids,
            "achieveit_conn_id": achieveit_conn_id,
            "destination": destination,
            "destination_conn_id": destination_conn_id,
            "since": since,
            "detect": detect,
        }
        self._waiting = Waiting.parse({name for name, value in values.items() if value is not None}, values)
        if not self._waiting.plan_ids:
            raise AchieveItConfigError("plan_ids is empty: there is nothing to watch")
        self._has_one_plan = plan_id is not None
        self.poll_interval = poll_interval
        check_interval("poll_interval", poll_interval)
        self._looks = Looks(self._waiting)
        self._tasks: list[asyncio.Task[None]] = []

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments: JSON scalars and a list of text, in a fixed order, and no secret."""
        waiting = self._waiting
        return f"{AchieveItPlanChangeTrigger.__module__}.{AchieveItPlanChangeTrigger.__qualname__}", {
            "plan_id": waiting.plan_ids[0] if self._has_one_plan else None,
            "plan_ids": None if self._has_one_plan else waiting.plan_ids,
            "achieveit_conn_id": waiting.achieveit_conn_id,
            "poll_interval": self.poll_interval,
            "destination": waiting.destination,
            "destination_conn_id": waiting.destination_conn_id,
            "since": waiting.since,
            "detect": waiting.detect,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at each plan every `poll_interval` seconds, in a thread."""
        changes: asyncio.Queue[tuple[Change, asyncio.Event]] = asyncio.Queue()

        async def hand_over(change: Change) -> None:
            taken = asyncio.Event()
            changes.put_nowait((change, taken))
            await taken.wait()

        plans = self._watches()
        gap = self.poll_interval / len(plans)
        self._tasks = [asyncio.create_task(plan.run(number * gap, hand_over)) for number, plan in enumerate(plans)]
        try:
            while True:
                change, taken = await changes.get()
                yield TriggerEvent(change.to_json())
                taken.set()
        finally:
            self._end()

    def _watches(self) -> list[PlanWatch]:
        waiting = self._waiting
        store = StateStore(getattr(self, "asset_state_store", None))
        count = len(waiting.plan_ids)
        gate = Gate(self.poll_interval, f"Plan {waiting.plan_ids[0]}" if count == 1 else f"All {count} plans")
        return [
            PlanWatch(
                plan_id,
                waiting.detect,
                self._looks,
                has_baseline=waiting.destination is not None or waiting.since is not None,
                watermark=Watermark(store, f"achieveit_{waiting.detect}_{plan_id}"),
                gate=gate,
                poll_interval=self.poll_interval,
            )
            for plan_id in waiting.plan_ids
        ]

    async def cleanup(self) -> None:
        """End the looks and give the shared client back, however the trigger ended."""
        self._end()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._looks.forget()


def plan_ids_of(triggering_asset_events: Mapping[Any, Sequence[Any]]) -> list[str]:
    """Return the plans that the events of a run name, each once: Airflow can fold several events into one run.

    Takes events of watchers with `AchieveItPlanChangeTrigger` and events of exports; others are passed over.

        @task
        def changed(triggering_asset_events):
            return plan_ids_of(triggering_asset_events)

    Args:
        triggering_asset_events: As Airflow's context has it (in Airflow 2 `triggering_dataset_events`).
    """
    plan_ids: dict[str, None] = {}
    for asset in triggering_asset_events:
        for event in triggering_asset_events[asset]:
            extra = event.extra or {}
            named = extra.get("payload", extra)
            plan_id = named.get("plan_id") if isinstance(named, Mapping) else None
            if isinstance(plan_id, str):
                plan_ids[plan_id] = None
    return list(plan_ids)
