"""The client: pages of one plan, patiently, and the plan's version."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItShapeError
from airflow_provider_achieveit.api.plan_version import PlanVersion, parse_timestamp
from airflow_provider_achieveit.api.response import body_of, decode_items
from airflow_provider_achieveit.api.retry import SharedPause, backoff
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.transport import Response, Transport
from airflow_provider_achieveit.api.validate import check_api_key, check_plan_id, check_sort

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Window:
    """A slice of a plan: `take` items after the first `skip`."""

    skip: int
    take: int


class AchieveItClient:
    """Authenticated, paged, patient requests to `GET /exports/plans/<planId>`; usable from many threads.

    Args:
        api_key: The key, sent as `Authorization: API-KEY <key>` to the settings' host and nowhere else.
        settings: Host, page size, timeouts and so on.

    Raises:
        AchieveItConfigError: The key can't be one.
    """

    def __init__(self, api_key: str, settings: ClientSettings | None = None) -> None:
        self.settings = settings or ClientSettings()
        self._transport = Transport(check_api_key(api_key), self.settings)
        self._pause = SharedPause()
        self._slots = threading.BoundedSemaphore(self.settings.max_concurrency)

    def __repr__(self) -> str:
        return f"AchieveItClient({self.settings.base_url})"

    @property
    def requests_sent(self) -> int:
        """How many requests were sent so far, tries included."""
        return self._transport.sent

    def close(self) -> None:
        """End waits and requests under way; the client can't be used afterwards."""
        self._pause.close()
        self._transport.close()

    def sleep(self, seconds: float) -> None:
        """Sleep between two attempts, unless the client is closed meanwhile."""
        self._pause.sleep(seconds)

    def get_plan_items(
        self, plan_id: str, *, sort_key: str = "sequenceId", sort_direction: str = "asc"
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the items of a plan as the API spells them, page by page, lazily.

        Nothing is proven about the whole: people may edit the plan between two pages. `lake` has what proves it.

        Args:
            plan_id: Id of the plan.
            sort_key: One of the 22 documented sort keys.
            sort_direction: `asc` or `desc`.

        Raises:
            AchieveItConfigError: A bad argument, before any request.
            AchieveItError: As in `api.errors`.
        """
        check_plan_id(plan_id)
        check_sort(sort_key, sort_direction)
        return self._iterate(plan_id, sort_key, sort_direction)

    def _iterate(self, plan_id: str, sort_key: str, sort_direction: str) -> Iterator[dict[str, Any]]:
        skip = 0
        while True:
            window = Window(skip, self.settings.page_size)
            items, total = self.fetch(plan_id, window, decode_items, sort_key=sort_key, sort_direction=sort_direction)
            yield from items
            skip += len(items)  # and not `take`: the server may allow less
            if skip >= total:
                return
            if not items:
                raise AchieveItShapeError(f"an empty page after {skip} of {total} items", plan_id=plan_id)

    def get_plan_version(self, plan_id: str) -> PlanVersion:
        """Ask for the plan's version with one tiny request.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        items, total = self.fetch(plan_id, Window(0, 1), decode_items, sort_key="lastUpdated", sort_direction="desc")
        if total == 0:
            return PlanVersion(0, None)
        if not items:
            raise AchieveItShapeError(f"no item although totalCount is {total}", plan_id=plan_id)
        text, item_id, name = (items[0].get(key) for key in ("lastUpdated", "id", "name"))
        try:
            newest = parse_timestamp(text)  # type: ignore[arg-type]  # the API's word, checked by parsing it
        except (TypeError, ValueError):
            shown = self._transport.redacted(repr(text))
            log.warning("Plan %s: the newest lastUpdated, %s, is no date: only totalCount is compared", plan_id, shown)
            newest = None
        item_id, name = (value if isinstance(value, str) else None for value in (item_id, name))
        return PlanVersion(total, newest, item_id, name)

    def fetch(
        self,
        plan_id: str,
        window: Window,
        decode: Callable[[bytes], T],
        *,
        sort_key: str = "sequenceId",
        sort_direction: str = "asc",
    ) -> T:
        """Request one window until it can be decoded or the time budget is over.

        Takes at most `max_retry_seconds + connect_timeout + read_timeout` seconds, and a pause that another request of
        this client was asked for, which is no longer than `max_retry_seconds` either.

        Args:
            plan_id: Id of the plan.
            window: Which items.
            decode: Turns the body into the result; raises `malformed_body` for one that is worth another try.
            sort_key: As documented.
            sort_direction: As documented.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        path = f"/exports/plans/{check_plan_id(plan_id)}"
        params: dict[str, str | int] = {
            "skip": window.skip,
            "take": window.take,
            "sortKey": sort_key,
            "sortDirection": sort_direction,
        }
        self._pause.wait()
        deadline = time.monotonic() + self.settings.max_retry_seconds
        tries = 0
        while True:
            tries += 1
            delay = backoff(tries)
            try:
                return decode(body_of(self._send(path, params, deadline, delay)))
            except AchieveItError as error:
                problem = error.about(plan_id)
                # What it came of can hold the body, in which a server could echo the key.
                problem.__cause__ = problem.__context__ = None
            self._wait_or_raise(problem, tries, deadline, delay)

    def _send(self, path: str, params: dict[str, str | int], deadline: float, delay: float) -> Response:
        with self._slots:
            # In this order: who has waited for a slot must not send into a pause.
            self._pause.wait()
            # The last try may start just before the deadline: it still gets one read timeout.
            time_limit = max(deadline - time.monotonic(), self.settings.read_timeout)
            response = self._transport.get(path, params, time_limit)
            if response.status == 429 or response.retry_after is not None:
                pause = max(response.retry_after or 0.0, delay)
                if time.monotonic() + pause <= deadline:
                    self._pause.pause(pause)  # before the slot is free: who gets it next must not send into the pause
            return response

    def _wait_or_raise(self, problem: AchieveItError, tries: int, deadline: float, delay: float) -> None:
        """Sleep until the next try, or raise the problem if there is to be none."""
        if not problem.retry_request:
            raise problem
        delay = max(problem.retry_after or 0.0, delay)
        if time.monotonic() + delay > deadline:
            budget = f"max_retry_seconds={self.settings.max_retry_seconds:g}"
            problem.what = f"{problem.what} (given up at try {tries}: {budget})"
            raise problem
        log.warning("%s Trying again in %.1f s.", problem, delay)
        self._pause.sleep(delay)

    def fetch_all(self, plan_id: str, windows: Iterable[Window], decode: Callable[[bytes], T]) -> Generator[T]:
        """Fetch windows concurrently, and yield their results in order.

        Few results are under way or waiting, so memory does not grow with the plan.
        """
        # One thread more than requests at a time: a page is decoded while the next ones are on their way. But one
        # request at a time means the pages in their order, which two threads would not keep.
        slots = self.settings.max_concurrency
        threads = 1 if slots == 1 else slots + 1
        waiting: deque[Future[T]] = deque()
        with (
            # One thread decodes. Several would each keep the memory that a page takes, and gain nothing: a page is
            # decoded in a small part of the time that the API takes for it.
            ThreadPoolExecutor(1, thread_name_prefix="achieveit-decode") as decoder,
            ThreadPoolExecutor(threads, thread_name_prefix="achieveit") as pool,
        ):

            def decode_there(body: bytes) -> T:
                return decoder.submit(decode, body).result()

            try:
                for window in windows:
                    waiting.append(pool.submit(self.fetch, plan_id, window, decode_there))
                    if len(waiting) > threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
