"""Measure many plans in one task: `make bench ARGS=portfolio`.

CPU and memory of a program that exports many plans, against the floor program and against one plan; latency; a thousand
exports in one process; and a real Airflow, in which one task does what else mapped tasks do.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import measure
import psutil
from environments import BUILD, HERE, PROJECT, python_of
from server import Server, serve

sys.path.insert(0, str(PROJECT))

from dev.local_airflow import LocalAirflow

ITEMS = 300
LATENCY = 0.3


class Programs:
    """Runs the programs in `peers/`, each in a folder of its own.

    Args:
        server: The sandbox.
        pythons: The interpreter of each environment.
    """

    def __init__(self, server: Server, pythons: dict[str, Path]) -> None:
        self._server = server
        self._pythons = pythons
        self._log = BUILD / "last.log"

    def floor(self, plans: list[str]) -> measure.Cost:
        """Run the floor program, plan after plan in one process."""
        return self._run("plain", "floor_portfolio.py", self._out(), *plans)

    def floor_each(self, plans: list[str]) -> measure.Cost:
        """Run the floor program once for each plan, as a process of its own."""
        out = self._out()
        costs = [self._run("plain", "floor.py", plan, out) for plan in plans]
        return measure.Cost(
            sum(cost.wall for cost in costs), sum(cost.cpu for cost in costs), max(cost.peak_mb for cost in costs)
        )

    def export(
        self, plans: list[str], *, threads: int = 4, changes: bool = True, times: int = 1, latency: float = 0.0
    ) -> measure.Cost:
        """Export plans with this package, all of them so many times."""
        self._server.control("PATCH", "/settings", {"latency": latency})
        options = (str(threads), str(times), "changes" if changes else "-")
        cost = self._run("airflow", "export_portfolio.py", self._out(), *options, *plans)
        self._server.control("PATCH", "/settings", {"latency": 0})
        return cost

    def resident(self) -> list[float]:
        """Return what the last program printed: its resident MB after each time."""
        return [float(line) for line in self._log.read_text().splitlines()]

    def _out(self) -> str:
        out = BUILD / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        return str(out)

    def _run(self, environment: str, script: str, *arguments: str) -> measure.Cost:
        command = [self._pythons[environment], HERE / "peers" / script, self._server.url, *arguments]
        return measure.run(command, measure.bare_environment(), self._log)


def programs(server: Server, plans: list[str], large: str, quick: bool) -> dict[str, Any]:
    """Measure what needs no Airflow, once."""
    run = Programs(server, {name: python_of(name) for name in ("plain", "airflow")})
    floor, floor_each = run.floor(plans), run.floor_each(plans)
    no_changes, changes = run.export(plans, changes=False), run.export(plans)
    alone, small, beside = run.export([large]), run.export(plans[:1]), run.export([*plans, large])
    four = run.export(plans, latency=LATENCY)
    one = run.export(plans, threads=1, latency=LATENCY)
    run.export(plans[:1], times=100 if quick else 1000)
    resident = run.resident()
    return {
        "cpu_s": {"floor": floor.cpu, "floor_each": floor_each.cpu, "no_changes": no_changes.cpu, "all": changes.cpu},
        "peak_mb": {"one": small.peak_mb, "many": changes.peak_mb, "large": alone.peak_mb, "large_and_many": beside.peak_mb},
        "late_s": {"four": four.wall, "one": one.wall},
        "resident_mb": {"at_fifth": resident[len(resident) // 5], "at_end": resident[-1]},
    }  # fmt: skip


def airflow(server: Server, plans: list[str]) -> dict[str, Any]:
    """Let a real Airflow export the plans in one task, and as mapped tasks; its processes are measured."""
    lake = BUILD / "airflow-lake"
    shutil.rmtree(lake, ignore_errors=True)
    connection = {"conn_type": "achieveit", "host": server.url, "password": "sandbox-key"}
    environment = {
        "BENCH_PLANS": json.dumps(plans),
        "BENCH_LAKE": str(lake),
        "AIRFLOW_CONN_ACHIEVEIT_DEFAULT": json.dumps(connection),
    }
    found: dict[str, Any] = {}
    with LocalAirflow(BUILD / "portfolio-airflow", HERE / "dags", environment=environment) as local:
        for dag_id in ("one_task", "mapped_tasks"):
            local.unpause(dag_id)
        time.sleep(10)  # what Airflow does after its start is nobody's cost
        for dag_id in ("one_task", "mapped_tasks"):
            before, started = _cpu(local), time.monotonic()
            run_id = local.trigger(dag_id)
            state = local.wait_for_run(dag_id, run_id, timeout=3600)
            found[dag_id] = {"wall_s": time.monotonic() - started, "cpu_s": _cpu(local) - before}
            manifests = len(list((lake / dag_id.partition("_")[0]).glob("_manifests/*/latest.json")))
            if state != "success" or manifests != len(plans):
                raise RuntimeError(f"{dag_id} ended as {state} with {manifests} of {len(plans)} plans")
        path = f"dags/one_task/dagRuns/{local.runs('one_task')[0]['dag_run_id']}/taskInstances/export/xcomEntries/return_value"
        value = local.api("GET", path.replace("+", "%2B"), params={"deserialize": False})["value"]
        events: list[dict[str, Any]] = []
        while page := local.asset_events(source_dag_id="one_task", limit=100, offset=len(events)):
            events += page
        found["xcom_kb"] = len(value if isinstance(value, str) else json.dumps(value)) / 1e3
        found["events"] = len(events)
        found["events_kb"] = sum(len(json.dumps(event["extra"])) for event in events) / 1e3
    return found


def _cpu(local: LocalAirflow) -> float:
    """CPU seconds of all programs: a process that has ended is counted by the one that waited for it."""
    total = 0.0
    for program in local.programs.values():
        for process in program.family():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """Measure all of it, and return the results."""
    many, large_items = (10, 3000) if quick else (200, 60_000)
    plans = [f"portfolio-{number}" for number in range(many)]
    with serve({**dict.fromkeys(plans, ITEMS), "large": large_items}) as server:
        programs(server, plans[:1], plans[1], quick=True)  # not counted: compiles what is imported
        found = []
        for _ in range(rounds):
            found.append(programs(server, plans, "large", quick))
            print(found[-1], flush=True)
        in_airflow = airflow(server, plans)
        print(in_airflow, flush=True)
    return {
        "plans": many,
        "items": ITEMS,
        "large": large_items,
        "latency": LATENCY,
        "found": found,
        "airflow": in_airflow,
    }
