"""One plan as the API gives it: its version, its items, its pages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItShapeError
from airflow_provider_achieveit.api.plan_version import PlanVersion, parse_timestamp
from airflow_provider_achieveit.api.response import parse_page
from airflow_provider_achieveit.api.validate import check_sort

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.cancellation import Cancellation
    from airflow_provider_achieveit.api.requester import Requester

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Pages by which a plan may grow while its items are iterated over, beside doubling.
_GROWTH = 10


@dataclass(frozen=True)
class Window:
    """A slice of a plan: `take` items after the first `skip`."""

    skip: int
    take: int


class PlanClient:
    """Requests about one plan; usable from many threads. `AchieveItClient.plan` makes it.

    Attributes:
        plan_id: Id of the plan.
    """

    def __init__(self, plan_id: str, requester: Requester) -> None:
        self.plan_id = plan_id
        self._requester = requester
        self._requests = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"PlanClient({self.plan_id})"

    @property
    def requests(self) -> int:
        """How many requests about this plan were sent through this object, tries included."""
        return self._requests

    @property
    def page_size(self) -> int:
        """Items per request, as the settings of the client have it."""
        return self._requester.settings.page_size

    @property
    def pauses(self) -> tuple[float, ...]:
        """Seconds before each further attempt to read the plan, as the client has them."""
        return self._requester.pauses.between_reads

    @property
    def cancellation(self) -> Cancellation:
        """Ends the work on this plan when the client is closed."""
        return self._requester.cancellation

    def version(self) -> PlanVersion:
        """Ask for the plan's version with one tiny request.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        items, total = self._fetch(
            Window(0, 1), partial(parse_page, take=1), sort_key="lastUpdated", sort_direction="desc"
        )
        if total == 0:
            return PlanVersion(0, None)
        if not items:
            raise AchieveItShapeError(f"no item although totalCount is {total}", plan_id=self.plan_id)
        value, item_id, name = (items[0].get(key) for key in ("lastUpdated", "id", "name"))
        item_id, name = (value if isinstance(value, str) else None for value in (item_id, name))
        try:
            newest = None if value is None else parse_timestamp(value)
        except (TypeError, ValueError):
            return PlanVersion(total, None, item_id, name, unreadable=self.shown(value))
        return PlanVersion(total, newest, item_id, name)

    def shown(self, value: object) -> str:
        """Return a value of the API as messages and logs show it: shortened, escaped and without the key."""
        return self._requester.redactor.shown(value)

    def items(self, *, sort_key: str = "sequenceId", sort_direction: str = "asc") -> Iterator[dict[str, Any]]:
        """Iterate over the items as the API spells them, page by page, lazily.

        Nothing is proven about the whole: people may edit the plan between two pages. `lake` has what proves it.
        Where `totalCount` grows with each page, it ends with an error once far more came than it was at first.

        Args:
            sort_key: One of the 22 documented sort keys.
            sort_direction: `asc` or `desc`.

        Raises:
            AchieveItConfigError: A bad argument, before any request.
            AchieveItError: As in `api.errors`.
        """
        check_sort(sort_key, sort_direction)
        return self._iterate(sort_key, sort_direction)

    def _iterate(self, sort_key: str, sort_direction: str) -> Iterator[dict[str, Any]]:
        skip, take, first_total = 0, self.page_size, None
        decode = partial(parse_page, take=take)
        while True:
            items, total = self._fetch(Window(skip, take), decode, sort_key=sort_key, sort_direction=sort_direction)
            yield from items
            skip += len(items)  # and not `take`: the server may allow less
            if skip >= total:
                return
            if not items:
                raise AchieveItShapeError(f"an empty page after {skip} of {total} items", plan_id=self.plan_id)
            first_total = total if first_total is None else first_total
            if skip > 2 * first_total + _GROWTH * take:
                what = (
                    f"{skip} items came although totalCount was {first_total}, and now {total}: it grows all the time"
                )
                raise AchieveItShapeError(what, plan_id=self.plan_id)

    def page(self, window: Window, decode: Callable[[bytes], T]) -> T:
        """Request one window until it can be decoded or the time budget is over.

        Takes at most `max_retry_seconds` and twice `read_timeout`, besides the wait for other requests of this client,
        for `requests_per_second`, and for a pause that another request was asked for, which is no longer than
        `max_retry_seconds` either.

        Args:
            window: Which items.
            decode: Turns the body into the result; raises `malformed_body` for one that is worth another try.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        return self._fetch(window, decode)

    def pages(
        self, windows: Iterable[Window], decode: Callable[[bytes], T], *, sort_key: str = "sequenceId"
    ) -> Generator[T]:
        """Request windows concurrently, and yield their results in order.

        Few results are under way or waiting, so memory does not grow with the plan. When the iteration ends early, by
        an error or because it is closed, the requests under way and their retries are cut: close it where it may not
        be exhausted.

        Args:
            windows: Which items, page by page; drawn only a few pages ahead, so there can be any number of them.
            decode: As for `page`; runs in one thread of the client, so in no two at a time.
            sort_key: The order of the pages.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        try:
            yield from self._requester.fetch_ahead(
                partial(self._fetch, window, decode, sort_key=sort_key) for window in windows
            )
        except AchieveItError as error:
            raise error.about(self.plan_id)  # noqa: B904  # the same error

    def _fetch(
        self,
        window: Window,
        decode: Callable[[bytes], T],
        cancellation: Cancellation | None = None,
        *,
        sort_key: str = "sequenceId",
        sort_direction: str = "asc",
    ) -> T:
        params: dict[str, str | int] = {
            "skip": window.skip,
            "take": window.take,
            "sortKey": sort_key,
            "sortDirection": sort_direction,
        }
        try:
            return self._requester.fetch(self.plan_id, params, decode, self._count, cancellation or self.cancellation)
        except AchieveItError as error:
            raise error.about(self.plan_id)  # noqa: B904  # the same error

    def _count(self) -> None:
        with self._lock:
            self._requests += 1
