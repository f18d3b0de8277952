"""The client: authenticated, patient requests for plans, from any number of threads."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from typing import Any, Self

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.plan import PlanClient
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.api.requester import Requester
from airflow_provider_achieveit.api.retry import DEFAULT_PAUSES, Pauses
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.validate import check_api_key, check_plan_id

#: Seconds that closing takes at most; it is a matter of milliseconds but in a signal handler.
_CLOSE_SECONDS = 1.0


class AchieveItClient:
    """Authenticated, paged, patient requests to `GET /exports/plans/<planId>`; usable from many threads.

    A context manager: leaving it closes the client.

        with AchieveItClient(api_key) as client:
            plan = client.plan("a0e2ce03-8d0e-4325-9a13-17a8b5936590")
            print(plan.version(), *plan.items(sort_key="due"))

    Args:
        api_key: The key, sent as `Authorization: API-KEY <key>` to the settings' host and nowhere else.
        settings: Host, page size, timeouts and so on.
        pauses: Before something is tried again.

    Attributes:
        settings: As given.
        cancellation: Ends what else is done with this client, such as landing a plan, when the client is closed.

    Raises:
        AchieveItConfigError: The key can't be one.
    """

    def __init__(
        self, api_key: str, settings: ClientSettings | None = None, *, pauses: Pauses = DEFAULT_PAUSES
    ) -> None:
        self.settings = settings or ClientSettings()
        self.cancellation = Cancellation()
        self._requester = Requester(check_api_key(api_key), self.settings, self.cancellation, pauses)

    def __repr__(self) -> str:
        return f"AchieveItClient({self.settings.base_url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def requests_sent(self) -> int:
        """How many requests were sent so far, tries included."""
        return self._requester.sent

    def close(self) -> None:
        """End waits and requests under way; the client can't be used afterwards.

        Signal handlers may call it, as those of Airflow do by way of `on_kill`.
        """
        # A signal handler may have interrupted the thread that holds a lock which closing needs. So another thread
        # closes; if it can't, it goes on once the handler has returned. `threading.Thread` would not do: its `start`
        # waits, without an end, for a thread that needs such a lock as well.
        done = threading.Event()

        def close() -> None:
            self.cancellation.cancel()
            self._requester.close()
            done.set()

        try:
            _thread.start_new_thread(close, ())
        except RuntimeError:  # the interpreter is about to end and starts no more threads
            close()
        done.wait(_CLOSE_SECONDS)

    def plan(self, plan_id: str) -> PlanClient:
        """Return a client bound to one plan, which counts its own requests and shares the limits of this one.

        Raises:
            AchieveItConfigError: The id is not 1 to 64 letters, digits and hyphens.
        """
        return PlanClient(check_plan_id(plan_id), self._requester)

    def get_plan_items(
        self, plan_id: str, *, sort_key: str = "sequenceId", sort_direction: str = "asc"
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the items of a plan: `plan(plan_id).items(...)`."""
        return self.plan(plan_id).items(sort_key=sort_key, sort_direction=sort_direction)

    def get_plan_version(self, plan_id: str) -> PlanVersion:
        """Ask for a plan's version: `plan(plan_id).version()`."""
        return self.plan(plan_id).version()
