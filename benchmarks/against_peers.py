"""Measure this package against its peers: `make bench ARGS=peers`.

Every program gets its own environment (`environments/`), the same server in a process of its own, and the same plans;
what it has landed is counted afterwards. The runs of a round follow each other, so that noise hits everybody alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import measure
from environments import BUILD, HERE, python_of
from server import Server, serve

LATENCY = 0.3


@dataclass(frozen=True)
class Peer:
    """A program to measure.

    Attributes:
        environment: Its environment.
        script: Its file in `peers/`.
        arguments: What follows URL, PLAN and OUT.
    """

    environment: str
    script: str
    arguments: tuple[str, ...] = ()


PEERS = {
    "floor": Peer("plain", "floor.py"),
    "floor, 4 threads": Peer("plain", "floor.py", ("4",)),
    "export_plan": Peer("airflow", "export_plan.py", ("4", "-")),
    "export_plan, changes": Peer("airflow", "export_plan.py", ("4", "changes")),
    "export_plan, 1 at a time": Peer("airflow", "export_plan.py", ("1", "-")),
    "export operator": Peer("airflow", "export_operator.py"),
    "dlt, Arrow, deferred": Peer("dlt", "dlt_arrow.py"),
    "dlt rest_api, flat": Peer("dlt", "dlt_rest_api.py", ("0",)),
    "dlt rest_api, child tables": Peer("dlt", "dlt_rest_api.py"),
    "requests + pandas": Peer("plain", "requests_pandas.py"),
    "HttpOperator + pandas": Peer("airflow", "http_operator.py"),
}
_FAST = ("floor", "export_plan", "floor, 4 threads", "export_plan, 1 at a time", "dlt, Arrow, deferred")
#: What importing all that the operator needs takes, measured like a peer that exports nothing.
IMPORTS = "export operator, imports only"


@dataclass(frozen=True)
class Cell:
    """One peer under one load."""

    peer: str
    items: int
    latency: float = 0.0


def _cells(quick: bool) -> list[Cell]:
    if quick:
        return [Cell(peer, 3000) for peer in PEERS] + [Cell(peer, 6000, 0.05) for peer in _FAST]
    cells = [Cell(peer, items) for items in (1_500, 15_000, 150_000) for peer in PEERS]
    cells += [Cell(peer, items) for items in (5_000, 50_000) for peer in ("floor", "export_plan")]
    return cells + [Cell(peer, 150_000, LATENCY) for peer in (*_FAST, "requests + pandas", "HttpOperator + pandas")]


class Campaign:
    """All runs of one call.

    Args:
        server: The sandbox.
        pythons: The interpreter of each environment.
    """

    def __init__(self, server: Server, pythons: dict[str, Path]) -> None:
        self._server = server
        self._pythons = pythons
        self._out = BUILD / "out"
        self._members: dict[int, int] = {}
        home = BUILD / "airflow-home"
        self._environment = measure.bare_environment() | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def run(self, cell: Cell) -> dict[str, Any]:
        """Run a peer once, and count what it landed."""
        peer = PEERS[cell.peer]
        cost = self._measure(peer, f"bench-{cell.items}", cell.latency)
        traffic = self._server.control("GET", "/requests")
        check = [self._pythons["plain"], HERE / "landed.py", self._out]
        landed = json.loads(subprocess.run(check, check=True, capture_output=True).stdout)
        members = self._members.setdefault(cell.items, landed["members"])
        if not landed["rows"] == landed["distinct"] == cell.items or landed["members"] != members:
            raise RuntimeError(f"{cell} landed {landed}, others {members} members")
        return {
            **asdict(cell),
            **asdict(cost),
            **landed,
            "requests": traffic["requests"],
            "max_in_flight": traffic["max_in_flight"],
        }

    def imports(self) -> dict[str, Any]:
        """Run the operator's imports alone."""
        return {**asdict(Cell(IMPORTS, 0)), **asdict(self._measure(PEERS["export operator"], "-", 0.0))}

    def _measure(self, peer: Peer, plan: str, latency: float) -> measure.Cost:
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir(parents=True)
        self._server.control("PATCH", "/settings", {"latency": latency})
        self._server.control("DELETE", "/requests")
        script = HERE / "peers" / peer.script
        command = [self._pythons[peer.environment], script, self._server.url, plan, self._out, *peer.arguments]
        return measure.run(command, self._environment, BUILD / "last.log")

    def inside(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a program that measures this package from within, and return the object that it prints."""
        self._server.control("PATCH", "/settings", {"latency": 0})
        command = [self._pythons["airflow"], HERE / script, *arguments]
        done = subprocess.run(command, capture_output=True, env=self._environment, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-2000:])
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


def _deviate(server: Server, items: int) -> tuple[str, ...]:
    """Make plans of so many items whose pages need the slow path."""
    for name, step, fields in (
        ("one-misfit-a-page", 1_400, {"target": 12.5, "status": "late"}),
        ("every-item-a-new-field", 1, {"brandNew": "field"}),
        ("every-item-misfit", 1, {"status": "late"}),
    ):
        server.control("PUT", f"/plans/{name}", {"items": items})
        for index in range(0, items, step):
            server.control("POST", f"/plans/{name}/edit", {"item": index, "touch": False, "fields": fields})
    return "one-misfit-a-page", "every-item-a-new-field", "every-item-misfit"


def _inside(campaign: Campaign, server: Server, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    items = 3000
    deviant = _deviate(server, items)
    for _ in range(1 if quick else 5):
        yield "imports", campaign.inside("inside.py", "imports")
        yield "small", campaign.inside("inside.py", "small", server.url, "bench-1000", "bench-0")
        yield "rescued", campaign.inside("inside.py", "rescued", server.url, "bench-0", f"bench-{items}", *deviant)
        stage_items = "3000" if quick else "150000"
        yield "stages", campaign.inside("inside.py", "stages", server.url, f"bench-{stage_items}", stage_items)
    few = ("--plans", "50", "--interval", "2", "--minutes", "0.1") if quick else ()
    yield "watching", campaign.inside("watching.py", *few)


def _versions(pythons: dict[str, Path]) -> dict[str, dict[str, str]]:
    names = ("apache-airflow", "apache-airflow-providers-http", "dlt", "pandas", "pyarrow", "requests", "urllib3")
    code = (
        "import importlib.metadata as m, json, platform\n"
        f"found = {{d.name: d.version for d in m.distributions() if d.name in {names!r}}}\n"
        "print(json.dumps({'python': platform.python_version()} | dict(sorted(found.items()))))"
    )
    return {
        name: json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True).stdout)
        for name, python in pythons.items()
    }


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """Run the campaign and return its results."""
    pythons = {name: python_of(name) for name in ("plain", "dlt", "airflow")}
    cells = _cells(quick)
    sizes = sorted({cell.items for cell in cells} | {0, 1000, 3000})
    runs: list[dict[str, Any]] = []
    inside: dict[str, list[dict[str, Any]]] = {}
    with serve({f"bench-{items}": items for items in sizes}) as server:
        campaign = Campaign(server, pythons)
        for peer in PEERS:  # not counted: compiles what is imported
            campaign.run(Cell(peer, min(cell.items for cell in cells)))
        for round_ in range(rounds):
            runs.append({**campaign.imports(), "round": round_})
            for cell in cells:
                runs.append({**campaign.run(cell), "round": round_})
                _show(runs[-1])
        for name, result in _inside(campaign, server, quick):
            inside.setdefault(name, []).append(result)
            print(name, result, flush=True)
    return {"versions": _versions(pythons), "runs": runs, "inside": inside}


def _show(run: dict[str, Any]) -> None:
    where = f"{run['items']:>7} items" + (f", {run['latency'] * 1e3:.0f} ms" if run["latency"] else "")
    print(
        f"{run['round'] + 1}  {run['peer']:28} {where:22} {run['cpu']:7.2f} s CPU {run['wall']:7.2f} s"
        f" {run['peak_mb']:6.0f} MB {run['requests']:4} requests",
        flush=True,
    )
