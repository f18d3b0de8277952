"""What the sandbox knows at any moment: its plans, its settings, the script of faults and the log of requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.sandbox.faults import Fault, Rule, edit_arguments
from airflow_provider_achieveit.sandbox.plans import OPERATIONS, Clock, Plan

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

_LOG_LENGTH = 100_000


@dataclass(slots=True)
class Request:
    """One request to the API, as it came in. The key itself is not kept."""

    number: int
    method: str
    path: str
    query: str
    plan: str | None
    user_agent: str | None
    accept_encoding: str | None
    has_key: bool
    key_ok: bool
    arrived: float
    #: None while it is not answered, and when the connection broke first.
    status: int | None = None
    finished: float | None = None


@dataclass(slots=True)
class Traffic:
    """How many requests came in and how many of them were in the air at once."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0

    def enter(self) -> None:
        """Count a request that has come in."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def reset(self) -> None:
        """Count anew; what is in the air stays there."""
        self.requests, self.max_in_flight = 0, self.in_flight


@dataclass(eq=False, repr=False)
class Service:
    """The state of a sandbox. Settings are plain attributes; change them whenever you like."""

    key: str = DEMO_KEY
    seed: int = 0
    #: Seconds before each answer.
    latency: float = 0.0
    #: The largest `take` that is served; more is cut down to it, as the API does.
    max_take: int = 1500
    gzip: bool = False
    #: Called in the server's thread just before the n-th request since the last reset is answered, with n.
    before_request: Callable[[int], None] | None = None
    plans: dict[str, Plan] = field(default_factory=dict)
    transports: dict[tuple[str, int], asyncio.Transport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._clock = Clock()
        self._rules: list[Rule] = []
        self._log: deque[Request] = deque(maxlen=_LOG_LENGTH)
        self._traffic = Traffic()
        self._plan_traffic: dict[str, Traffic] = {}

    def put_plan(self, plan_id: str, items: int, *, name: str | None = None) -> Plan:
        """Create a plan of generated items, or start one anew. The items are made when they are first needed.

        Raises:
            ValueError: A plan can't have so many items.
        """
        if not isinstance(items, int) or items < 0:
            raise ValueError(f"a plan has 0, 1, 2 ... items, not {items!r}")
        plan = Plan(plan_id, items, name=name, seed=self.seed, clock=self._clock)
        with self._lock:
            self.plans = {**self.plans, plan_id: plan}
        return plan

    def remove_plan(self, plan_id: str) -> None:
        """Forget a plan; requests for it are answered with 404 from now on."""
        with self._lock:
            self.plan(plan_id)
            self.plans = {other: plan for other, plan in self.plans.items() if other != plan_id}

    def plan(self, plan_id: str) -> Plan:
        """A plan of the sandbox.

        Raises:
            LookupError: There is none with this id.
        """
        try:
            return self.plans[plan_id]
        except KeyError:
            raise LookupError(f"the sandbox has no plan {plan_id}") from None

    def script(self, *lines: Mapping[str, Any]) -> None:
        """Let things go wrong from the next request on, as these lines say and no longer as earlier ones said.

        A line is `{"at": 2, "plan": "p1", "fault": {...}}`: at the second request for that plan from now on. Without
        `at` it is meant for every request, without `plan` for whatever is asked for. No lines: nothing goes wrong.

        Raises:
            ValueError: A line that says nothing known.
        """
        rules = [Rule.parse(line) for line in lines]
        with self._lock:
            self._rules = rules

    @property
    def requests(self) -> list[Request]:
        """The requests since the last reset (at most the newest 100,000), except those of the control endpoints."""
        with self._lock:
            return list(self._log)

    def traffic(self, plan_id: str | None = None) -> Traffic:
        """Counters of all requests, or of those for one plan."""
        with self._lock:
            return self._traffic if plan_id is None else self._plan_traffic.setdefault(plan_id, Traffic())

    def reset_requests(self) -> None:
        """Empty the log and start to count anew."""
        with self._lock:
            self._log.clear()
            for traffic in (self._traffic, *self._plan_traffic.values()):
                traffic.reset()

    def arrive(
        self, method: str, path: str, query: str, headers: Mapping[str, str], plan_id: str | None
    ) -> tuple[Request, list[Fault]]:
        """Note that a request has come in, and which faults are meant for it."""
        authorization = headers.get("authorization")
        with self._lock:
            for traffic in self._counters(plan_id):
                traffic.enter()
            request = Request(
                number=self._traffic.requests,
                method=method,
                path=path,
                query=query,
                plan=plan_id,
                user_agent=headers.get("user-agent"),
                accept_encoding=headers.get("accept-encoding"),
                has_key=authorization is not None,
                key_ok=authorization == f"API-KEY {self.key}",
                arrived=time.monotonic(),
            )
            self._log.append(request)
            return request, [rule.fault for rule in self._rules if rule.strikes(plan_id)]

    def before_answer(self, request: Request, faults: list[Fault]) -> None:
        """Let people edit their plans just before a request is answered."""
        for fault in faults:
            for operation in OPERATIONS.keys() & fault.keys():
                plan_id, arguments = edit_arguments(fault, operation)
                self.plan(plan_id or request.plan or "").change(operation, arguments)
        if self.before_request is not None:
            self.before_request(request.number)

    def leave(self, request: Request) -> None:
        """Note that a request is over."""
        with self._lock:
            request.finished = time.monotonic()
            for traffic in self._counters(request.plan):
                traffic.in_flight -= 1

    def _counters(self, plan_id: str | None) -> list[Traffic]:
        return [self._traffic] if plan_id is None else [self._traffic, self.traffic(plan_id)]
