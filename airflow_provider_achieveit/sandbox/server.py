"""The sandbox: plans, a script of faults and a log of requests, served from a thread of this process."""

from __future__ import annotations

import json
import re
import shlex
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_achieveit.sandbox import api
from airflow_provider_achieveit.sandbox.checks import Kind, shown
from airflow_provider_achieveit.sandbox.faults import (
    FAULTS,
    Answer,
    Fault,
    Rule,
    edit_arguments,
    faulty_answer,
    problem,
)
from airflow_provider_achieveit.sandbox.plans import Clock, Plan
from airflow_provider_achieveit.sandbox.web_server import Handler, HttpServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from airflow_provider_achieveit.sandbox.api import Request

#: The API key that the sandbox accepts unless it is told another.
DEMO_KEY = "sandbox-key"

#: The plans of the command line, with their sizes: a small one, an empty one, and one of more than two pages.
DEMO_PLANS = {
    "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01": 40,
    "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02": 0,
    "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603": 3200,
}


@dataclass(slots=True)
class Traffic:
    """How many requests came in, how many of them are being answered now, and how many were at most."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0


class Sandbox:
    """A local AchieveIt API, served on loopback while the context is open.

    Settings are plain attributes; change them whenever you like.

    Example:
        with Sandbox({"p1": 900}) as sandbox:
            requests.get(f"{sandbox.url}/exports/plans/p1", headers={"Authorization": f"API-KEY {sandbox.key}"})
            sandbox.plan("p1").edit()

    Args:
        plans: Plan ids and how many items to generate for each.
        key: The API key that is accepted.
        port: Where to listen; 0 takes a free port.
        seed: Another seed gives other plans.
        latency: Seconds before each answer.
        max_take: The largest page that is served; more is cut down to it, as the API does.
        gzip: Whether to compress for clients that accept it. Off by default: most tests need not pay for it.
    """

    #: What a line of a script can hold beside edits.
    faults: ClassVar[Mapping[str, Kind]] = FAULTS
    plan_type: ClassVar[type[Plan]] = Plan

    def __init__(
        self,
        plans: Mapping[str, int] | None = None,
        *,
        key: str = DEMO_KEY,
        port: int = 0,
        seed: int = 0,
        latency: float = 0.0,
        max_take: int = 1500,
        gzip: bool = False,
    ) -> None:
        self.key, self.port, self.seed = key, port, seed
        self.latency, self.max_take, self.gzip = latency, max_take, gzip
        self.plans: dict[str, Plan] = {}
        self._lock = threading.Lock()
        self._clock = Clock()
        self._rules: list[Rule] = []
        self._traffic = Traffic()
        self._server: HttpServer | None = None
        for plan_id, items in (plans or {}).items():
            self.put_plan(plan_id, items)

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connection_line(self) -> str:
        """A line for a shell that gives Airflow its default connection to this sandbox."""
        connection = json.dumps({"conn_type": "achieveit", "host": self.url, "password": self.key})
        return f"export AIRFLOW_CONN_ACHIEVEIT_DEFAULT={shlex.quote(connection)}"

    def start(self) -> None:
        """Listen. Requests are taken from the moment this returns.

        Raises:
            OSError: The port is in use.
        """
        self._server = server = self._make_server()
        self.port = server.server_address[1]
        # How often it looks whether to stop, in seconds.
        threading.Thread(target=server.serve_forever, args=(0.02,), name=f"sandbox-{self.port}", daemon=True).start()

    def stop(self) -> None:
        """Break off every connection and give the port back."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def put_plan(self, plan_id: str, items: int, *, name: str | None = None) -> Plan:
        """Create a plan of generated items, or start one anew. The items are made when they are first needed.

        Raises:
            ValueError: The id is not one, or a plan can't have so many items.
        """
        if not re.fullmatch("[A-Za-z0-9-]{1,64}", plan_id):
            raise ValueError(f"a plan id has 1 to 64 letters, digits and hyphens, unlike {shown(plan_id)}")
        if not isinstance(items, int) or items < 0:
            raise ValueError(f"a plan has 0, 1, 2 ... items, not {shown(items)}")
        plan = self.plan_type(plan_id, items, name=name, seed=self.seed, clock=self._clock)
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
            raise LookupError(f"the sandbox has no plan {shown(plan_id)}") from None

    def script(self, *lines: Mapping[str, Any]) -> None:
        """Let requests go wrong from the next one on as these lines say, and no longer as earlier lines said.

        A line is `{"at": 2, "plan": "p1", "fault": {...}}`: at the second request for that plan from now on. Without
        `at` it is meant for every request, without `plan` for whatever is asked for. Where two lines are about one
        request, what the later one says counts. No lines: nothing goes wrong.

        Raises:
            ValueError: Something in a line is not known.
        """
        edit = Kind("true or a JSON object", lambda value: value is True or isinstance(value, dict))
        operations = self.plan_type.operations
        rules = [Rule.parse(line, {**self.faults, **dict.fromkeys(operations, edit)}) for line in lines]
        for rule in rules:
            for operation in operations.keys() & rule.fault.keys():
                self.plan_type.check(operation, edit_arguments(rule.fault, operation)[1])
        with self._lock:
            self._rules = rules

    def traffic(self) -> Traffic:
        """Count the requests since the last reset, except those to the control endpoints."""
        with self._lock:
            return replace(self._traffic)

    def reset_requests(self) -> None:
        """Start to count anew."""
        with self._lock:
            self._traffic = Traffic(0, self._traffic.in_flight, self._traffic.in_flight)

    def arrive(self, request: Request) -> Fault:
        """Note that a request to the API has come in, and return what is to go wrong with it."""
        with self._lock:
            traffic = self._traffic
            traffic.requests += 1
            traffic.in_flight += 1
            traffic.max_in_flight = max(traffic.max_in_flight, traffic.in_flight)
            faults = [rule.fault for rule in self._rules if rule.strikes(request.plan)]
        return {name: value for fault in faults for name, value in fault.items()}

    def leave(self, request: Request, answer: Answer | None) -> None:
        """Note that a request has its answer, or that its client has gone."""
        with self._lock:
            self._traffic.in_flight -= 1

    def answer(self, request: Request, fault: Fault) -> Answer:
        """Answer a request, in which this is to go wrong."""
        try:
            self.before_answer(request, fault)
        except LookupError as error:
            return problem(400, f"A scripted edit cannot be done: {error}")
        return faulty_answer(fault) or api.answer(self, request)

    def before_answer(self, request: Request, fault: Fault) -> None:
        """Edit plans as the fault says."""
        for operation in self.plan_type.operations.keys() & fault.keys():
            plan_id, arguments = edit_arguments(fault, operation)
            self.plan(plan_id or request.plan or "").change(operation, arguments)

    def _make_server(self) -> HttpServer:
        return HttpServer(self, ("127.0.0.1", self.port), Handler)
