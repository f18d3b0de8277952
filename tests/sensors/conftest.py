"""A sandbox, a lake on this disk, and a sensor driven through each of its modes as Airflow drives it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = "p"
MODES = ("poke", "reschedule", "deferrable")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """Start a sandbox once for all tests of a file."""
    with Sandbox() as sandbox:
        yield sandbox


class Stage:
    """A sandbox with a plan of 40 items, an Airflow connection to it, and an empty lake."""

    def __init__(self, sandbox: Sandbox, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox, self.lake = sandbox, lake
        self._environment = monkeypatch
        for plan_id in list(sandbox.plans):
            sandbox.remove_plan(plan_id)
        sandbox.put_plan(PLAN, 40)
        sandbox.key = DEMO_KEY
        sandbox.before_request, sandbox.latency = None, 0.0
        sandbox.script()
        sandbox.reset_requests()
        self.connect()

    @property
    def plan(self) -> Any:
        return self.sandbox.plan(PLAN)

    @property
    def requests(self) -> int:
        return len(self.sandbox.requests)

    @property
    def destination(self) -> str:
        return self.lake.as_uri()

    @property
    def latest(self) -> Path:
        return self.lake / f"_manifests/plan={PLAN}/latest.json"

    def connect(self, **extra: Any) -> None:
        """Set the Airflow connection; `extra` as in its form."""
        connection = {"conn_type": "achieveit", "host": self.sandbox.url, "password": DEMO_KEY, "extra": extra}
        self._environment.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))

    def export(self, **options: Any) -> dict[str, Any]:
        """Land the plan, and forget the requests that it took."""
        export = AchieveItExportOperator(task_id="export", plan_id=PLAN, destination=self.destination, **options)
        manifest = export.execute({})
        self.sandbox.reset_requests()
        return manifest

    def fail_from(self, number: int, **fault: Any) -> None:
        """Let every request from this one on, counted from 1, meet a fault."""
        self.sandbox.script(*({"at": n, "fault": fault} for n in range(number, number + 200)))

    def sensor(self, mode: str = "poke", **arguments: Any) -> AchieveItPlanChangeSensor:
        """Make a sensor that looks often."""
        plans = {} if "plan_ids" in arguments else {"plan_id": PLAN}
        defaults = {"task_id": "wait", **plans, "poke_interval": 0.1, "timeout": 60}
        mode_arguments = {"deferrable": True} if mode == "deferrable" else {"deferrable": False, "mode": mode}
        return AchieveItPlanChangeSensor(**{**defaults, **mode_arguments, **arguments})


@pytest.fixture
def stage(running: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, as good as new."""
    return Stage(running, tmp_path / "lake", monkeypatch)


def drive(sensor: AchieveItPlanChangeSensor) -> Any:
    """Run a sensor to its end in its mode, as Airflow's task runner and triggerer do, and return what it returns."""
    if sensor.deferrable:
        return _deferrable(sensor)
    return _reschedule(sensor) if sensor.reschedule else sensor.execute({})


def _reschedule(sensor: AchieveItPlanChangeSensor) -> Any:
    first = datetime.now(UTC)
    context: Any = {"ti": SimpleNamespace(get_first_reschedule_date=lambda context: first)}
    while True:
        try:
            return sensor.execute(context)
        except AirflowRescheduleException as again:
            time.sleep(max(0.0, (again.reschedule_date - datetime.now(UTC)).total_seconds()))


def _deferrable(sensor: AchieveItPlanChangeSensor) -> Any:
    try:
        return sensor.execute({})
    except TaskDeferred as deferred:
        assert deferred.method_name == "execute_complete"
        assert deferred.timeout == timedelta(seconds=sensor.timeout)
        path, arguments = json.loads(json.dumps(deferred.trigger.serialize()))
    module, name = path.rsplit(".", 1)
    trigger = getattr(import_module(module), name)(**arguments)
    try:
        event = asyncio.run(_first_event(trigger, sensor.timeout))
    except TimeoutError:
        return sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})
    return sensor.resume_execution("execute_complete", {"event": json.loads(json.dumps(event))}, {})


async def _first_event(trigger: Any, timeout: float) -> Any:
    events = [event.payload async for event in _until(trigger, timeout)]
    assert len(events) == 1, "under a sensor the trigger ends after its event"
    return events[0]


async def _until(trigger: Any, timeout: float) -> Any:
    try:
        async with asyncio.timeout(timeout):
            async for event in trigger.run():
                yield event
    finally:
        await trigger.cleanup()
