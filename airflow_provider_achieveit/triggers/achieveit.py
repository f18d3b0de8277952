"""The trigger behind the deferrable sensor, and behind asset watchers."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_achieveit._compat import BaseEventTrigger
from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItError
from airflow_provider_achieveit.api.validate import check_plan_id
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.change import (
    Change,
    PlanState,
    change_from,
    change_from_landed,
    change_since,
    observe,
)
from airflow_provider_achieveit.lake.options import Detect, check_baseline, parse_since
from airflow_provider_achieveit.triggers._clients import SharedClient, acquire, release
from airflow_provider_achieveit.triggers._watermark import Watermark

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient

log = logging.getLogger(__name__)

#: Longest wait of a watcher that meets one failure after another, in seconds: four requests an hour.
MAX_BACKOFF = 900.0


class AchieveItPlanChangeTrigger(BaseEventTrigger):
    """Sends an event when a plan has changed.

    In `AssetWatcher(trigger=...)` it never ends: it sends one event for each new version of the plan and waits out
    every failure, with a back-off that grows to `MAX_BACKOFF`. The first sight of a plan is recorded silently, unless
    `destination` or `since` says what was known before. Delivery is at least once: the watermark is saved one poll
    after the event was handed over, in Airflow's asset state store (3.3), else it lives in memory.

    Give two assets that watch the same plan different arguments (such as another `poll_interval`): Airflow runs
    identical triggers as one, whose watermark then can't be stored.

    Args:
        plan_id: Id of the plan.
        achieveit_conn_id: Airflow connection of AchieveIt.
        poll_interval: Seconds between two looks.
        destination: Compare with what has landed there, at first sight.
        destination_conn_id: Airflow connection of the destination.
        since: Compare with this ISO 8601 time, at first sight.
        detect: `version`: one request a look; `content`: reads the plan (with `destination` only).
        once: End after one event, changed or an error; this is how the deferrable sensor uses it, and there
            `destination` or `since` is compared with at every look.

    Raises:
        AchieveItConfigError: An argument can't be used.
    """

    def __init__(
        self,
        plan_id: str,
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        poll_interval: float = 60,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        since: str | None = None,
        detect: Detect = "version",
        once: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own is untyped
        self.plan_id = check_plan_id(plan_id)
        self.achieveit_conn_id = achieveit_conn_id
        self.poll_interval = poll_interval
        self.destination = None if destination is None else str(destination)
        self.destination_conn_id = destination_conn_id
        self.since = None if since is None else str(since)
        self.detect: Detect = detect
        self.once = once
        check_baseline(destination, since, detect)
        if type(poll_interval) not in (int, float) or not 0 < poll_interval < math.inf:
            raise AchieveItConfigError(f"poll_interval {poll_interval!r} is not a number of seconds above 0")
        if self.since is not None:
            parse_since(self.since)
        elif once and destination is None:
            raise AchieveItConfigError("once needs a destination or since that it can compare with")
        self._shared: SharedClient | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments: JSON scalars only, in a fixed order, and no secret."""
        names = (
            "plan_id", "achieveit_conn_id", "poll_interval", "destination", "destination_conn_id", "since", "detect",
            "once",
        )  # fmt: skip
        path = f"{AchieveItPlanChangeTrigger.__module__}.{AchieveItPlanChangeTrigger.__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the plan every `poll_interval` seconds, in a thread."""
        try:
            if self.once:
                yield TriggerEvent(await self._wait_for_change())
                return
            async for change in self._watch():
                yield TriggerEvent(change.to_json())
        finally:
            self._let_go()

    async def cleanup(self) -> None:
        """Give the shared client back, however the trigger ended."""
        self._let_go()

    async def _wait_for_change(self) -> dict[str, Any]:
        """Return the first change, or the first error that the client did not get over, as an event."""
        while True:
            try:
                change = await self._call(
                    lambda client: self._from_baseline(observe(client.plan(self.plan_id), self.detect))
                )
            except AchieveItError as error:
                return error.about(self.plan_id).to_json()
            if change is not None:
                event: dict[str, Any] = change.to_json()
                return event
            await asyncio.sleep(self.poll_interval)

    async def _watch(self) -> AsyncIterator[Change]:
        watermark = Watermark(self, f"achieveit_{self.detect}_{self.plan_id}")
        trouble: str | None = None
        failures = 0
        while True:
            delay = float(self.poll_interval)
            try:
                known = await watermark.load()
                change, current = await self._call(lambda client, known=known: self._compare(client, known))
                if change is None:
                    await watermark.save(current)
            except Exception as error:  # a watcher that ends is restarted every few seconds
                failures += 1
                delay = self._backoff(error, failures)
                trouble = self._note(trouble, error, delay)
                self._let_go()  # the connection is read again: its key may have been replaced
            else:
                failures = 0
                trouble = self._note(trouble, None, delay)
                if change is not None:
                    yield change
                    watermark.save_later(current)
            await asyncio.sleep(delay)

    def _compare(self, client: AchieveItClient, known: PlanState | None) -> tuple[Change | None, PlanState]:
        current = observe(client.plan(self.plan_id), self.detect)
        if known is not None:
            return change_from(known, current, self.plan_id), current
        return self._from_baseline(current), current

    def _from_baseline(self, current: PlanState) -> Change | None:
        """Compare with the destination or the time that was given; with neither there is nothing to compare with."""
        if self.destination is not None:
            from airflow_provider_achieveit._destination import open_manifests

            return change_from_landed(open_manifests(self.destination, self.destination_conn_id), current, self.plan_id)
        if self.since is not None:
            return change_since(parse_since(self.since), current, self.plan_id)
        return None

    async def _call(self, function: Any) -> Any:
        if self._shared is None:
            self._shared = await acquire(self.achieveit_conn_id)
        return await self._shared.run(function)

    def _let_go(self) -> None:
        if self._shared is not None:
            release(self._shared)
            self._shared = None

    def _backoff(self, error: Exception, failures: int) -> float:
        asked = getattr(error, "retry_after", None) or 0.0
        longer = self.poll_interval * 2.0 ** min(failures, 30)
        return max(self.poll_interval, min(MAX_BACKOFF, max(asked, longer)))

    def _note(self, before: str | None, error: Exception | None, delay: float) -> str | None:
        """Log a change of state, and only that: what messages quote may differ each time."""
        now = None if error is None else type(error).__name__
        if now != before:
            if error is None:
                log.info("Plan %s: AchieveIt answers again", self.plan_id)
            else:
                text = f"{type(error).__name__}: {error}"
                pace = f"Looking again in {delay:.0f} s, then later and later, up to {MAX_BACKOFF:.0f} s."
                log.warning("Plan %s: %s %s", self.plan_id, text, pace)
        return now
