"""The trigger behind the deferrable sensor: it looks as a poke does, and ends with its event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_achieveit._waiting import Waiting
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.looks import Findings, find_changes
from airflow_provider_achieveit.triggers._looks import Looks

log = logging.getLogger(__name__)


class PlanSensorTrigger(BaseTrigger):
    """Looks until a plan has changed, and sends the changes or the first error.

    Args:
        waiting: The attributes of what the sensor waits for, as `Waiting` has them.
        poll_interval: Seconds between two looks.
    """

    def __init__(self, *, poll_interval: float, **waiting: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own is untyped
        self._waiting = Waiting(**waiting)
        self._poll_interval = poll_interval
        self._looks = Looks(self._waiting)
        self._warned: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments: JSON values only, and no secret."""
        path = f"{PlanSensorTrigger.__module__}.{PlanSensorTrigger.__qualname__}"
        return path, {**vars(self._waiting), "poll_interval": self._poll_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every `poll_interval` seconds, in a thread."""
        try:
            yield TriggerEvent(await self._first_event())
        finally:
            self._looks.forget()

    async def cleanup(self) -> None:
        """Give the shared client back, however the trigger ended."""
        self._looks.forget()

    async def _first_event(self) -> dict[str, Any]:
        looks = 0
        while True:
            try:
                findings = await self._look()
            except AchieveItError as error:
                return error.to_json()
            if findings.changes:
                return {
                    "changes": [change.to_json() for change in findings.changes],
                    "failures": [str(error) for error in findings.failures],
                }
            looks += 1
            if looks >= 10 and set(str(looks)[1:]) == {"0"}:  # 10, 20 … 100, 200 … 1000: ever more rarely
                log.info("Nothing has changed after %d looks", looks)
            await asyncio.sleep(self._poll_interval)

    async def _look(self) -> Findings:
        may_be_outdated = self._looks.has_baseline
        try:
            return await self._looks.call(
                lambda client: find_changes(
                    client, self._waiting.plan_ids, self._looks.baseline(), self._waiting.detect, self._warned
                )
            )
        except AchieveItStoreError:
            if not may_be_outdated:
                raise
            self._looks.forget()  # a poke opens the store each time, and has its credentials of that moment
            return await self._look()
