"""A plan that a watcher watches: looks, its watermark, and patience with every failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItUnauthorizedError
from airflow_provider_achieveit.lake.change import Change, PlanState, change_between
from airflow_provider_achieveit.lake.looks import observe_content, warn_of_unknown
from airflow_provider_achieveit.triggers._watermark import Watermark

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.options import Detect
    from airflow_provider_achieveit.triggers._looks import Looks

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Longest wait of a watcher that meets one failure after another, in seconds: four requests an hour. Also the shortest
#: time between two reads of a whole plan whose version is unknown.
MAX_BACKOFF = 900.0


def backoff(poll_interval: float, error: Exception, failures: int) -> float:
    """Return the seconds until the next look after so many failures in a row."""
    asked = getattr(error, "retry_after", None) or 0.0
    longer = poll_interval * 2.0 ** min(failures, 30)
    return max(poll_interval, min(MAX_BACKOFF, max(asked, longer)))


class Trouble:
    """Logs when looks begin to fail, fail otherwise, and succeed again; and nothing in between.

    Args:
        who: What is looked at, as the log names it.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._kind: str | None = None

    def note(self, error: Exception | None, pause: float = 0.0) -> None:
        """Log a change of state, and only that: what messages quote may differ each time."""
        before, self._kind = self._kind, None if error is None else type(error).__name__
        if self._kind == before:
            return
        if error is None:
            log.info("%s: AchieveIt answers again", self._who)
        else:
            pace = f"Looking again in {pause:.0f} s, then later and later, up to {MAX_BACKOFF:.0f} s."
            log.warning("%s: %s: %s %s", self._who, self._kind, error, pace)

    def forget(self) -> None:
        """Take what comes next for the first thing that is known."""
        self._kind = None


class Gate:
    """What all plans of a watcher pass to look: one at a time and ever more rarely while the key is refused.

    Args:
        poll_interval: Seconds between two looks.
        who: The plans, as the log names them.
    """

    def __init__(self, poll_interval: float, who: str) -> None:
        self._poll_interval = poll_interval
        self._trouble = Trouble(who)
        self._failures = 0
        self._closed_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def pass_through(self, look: Callable[[], Awaitable[T]]) -> T:
        """Look, at once or when it is this look's turn."""
        if not self._failures:
            return await self._noted(look)
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._closed_until - time.monotonic()))
            return await self._noted(look)

    async def _noted(self, look: Callable[[], Awaitable[T]]) -> T:
        failures = self._failures
        try:
            result = await look()
        except Exception as error:
            if self._failures != failures:
                pass  # another look has decided meanwhile: an answer to an older request says nothing about the key
            elif concerns_all(error):
                self._failures += 1
                pause = backoff(self._poll_interval, error, self._failures)
                self._closed_until = time.monotonic() + pause
                self._trouble.note(error, pause)
            else:  # the key was taken; what else is wrong is the plan's own trouble
                self._failures = 0
                self._trouble.forget()
            raise
        if self._failures == failures:
            self._failures = 0
            self._trouble.note(None)
        return result


def concerns_all(error: Exception) -> bool:
    """Return whether an error is about the connections, and so no single plan's own."""
    return isinstance(error, AchieveItUnauthorizedError | AchieveItConfigError)


class PlanWatch:
    """Looks at one plan for ever, and hands over each change.

    Args:
        plan_id: The plan.
        detect: How it is looked at.
        looks: The client and the baseline of the watcher.
        has_baseline: Whether the first sight is compared with a baseline, or else recorded silently.
        watermark: What was told of the plan.
        gate: What all plans of the watcher pass.
        poll_interval: Seconds between two looks.
    """

    def __init__(
        self, plan_id: str, detect: Detect, looks: Looks, *, has_baseline: bool, watermark: Watermark, gate: Gate,
        poll_interval: float,
    ) -> None:  # fmt: skip
        self._plan_id = plan_id
        self._detect = detect
        self._looks = looks
        self._has_baseline = has_baseline
        self._watermark = watermark
        self._gate = gate
        self._poll_interval = poll_interval
        self._trouble = Trouble(f"Plan {plan_id}")
        self._warned: set[str] = set()
        self._read_at: float | None = None

    async def run(self, delay: float, hand_over: Callable[[Change], Awaitable[None]]) -> None:
        """Look after a delay, and then every `poll_interval` seconds.

        Args:
            delay: Seconds.
            hand_over: Returns when the change has been taken.
        """
        failures = 0
        await asyncio.sleep(delay)
        while True:
            pause = self._poll_interval
            try:
                change, current = await self._gate.pass_through(self._look)
            except Exception as error:  # a watcher that ends is restarted every few seconds
                self._looks.forget()  # the connections are read again: a key may have been replaced
                if concerns_all(error):
                    self._trouble.forget()  # the gate tells of this one and of its end
                else:
                    failures += 1
                    pause = backoff(self._poll_interval, error, failures)
                    self._trouble.note(error, pause)
            else:
                failures = 0
                self._trouble.note(None)
                if change is not None:
                    await hand_over(change)
                    self._watermark.save_later(current)
            await asyncio.sleep(pause)

    async def _look(self) -> tuple[Change | None, PlanState]:
        known = await self._watermark.load()
        change, current = await self._looks.call(lambda client: self._compare(client, known))
        if change is None and current is not known:
            await self._watermark.save(current)
        return change, current

    def _compare(self, client: AchieveItClient, known: PlanState | None) -> tuple[Change | None, PlanState]:
        current = self._observe(client, known)
        if current is known:
            return None, current
        if known is not None:
            return change_between(known, current, self._plan_id), current
        if self._has_baseline:
            return self._looks.baseline().compare(self._plan_id, current), current
        return None, current

    def _observe(self, client: AchieveItClient, known: PlanState | None) -> PlanState:
        """Return the plan's state; the one that is known where it cannot be told yet whether it is another one."""
        plan = client.plan(self._plan_id)
        if self._detect == "content":
            return observe_content(plan)
        state = PlanState(plan.version())
        if state.version.is_known:
            return state
        warn_of_unknown(self._plan_id, state.version, self._warned)
        if known is not None and self._read_at is not None and time.monotonic() - self._read_at < MAX_BACKOFF:
            return known
        self._read_at = time.monotonic()
        return observe_content(plan)
