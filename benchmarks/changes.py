"""Measure what `plan_item_changes` costs: `make bench ARGS=changes`.

A plan is exported, a share of its items is edited, and it is exported again, with changes and without; what the second
export takes with them and without is compared, and its memory at a tenth of the size.
"""

from __future__ import annotations

import shutil
from typing import Any

import measure
from environments import BUILD, HERE, python_of
from server import Server, serve

SHARE = 0.02


def edit(server: Server, plan: str, items: int) -> int:
    """Edit a share of a plan's items, evenly spread over it, and return how many."""
    edited = range(0, items, round(1 / SHARE))
    for index in edited:
        server.control("POST", f"/plans/{plan}/edit", {"item": index})
    return len(edited)


def second_export(server: Server, plan: str, changes: str) -> tuple[measure.Cost, int]:
    """Export a plan once more over a copy of the lake of its first export; return the cost and the changed items."""
    again = BUILD / "again"
    shutil.rmtree(again, ignore_errors=True)
    shutil.copytree(BUILD / "first", again)
    cost = export(server, str(again), "2", changes, plan)
    return cost, int((BUILD / "last.log").read_text().splitlines()[-1])


def export(server: Server, *arguments: str) -> measure.Cost:
    """Run the program that exports one plan under one label."""
    environment = measure.bare_environment()
    command = [python_of("airflow"), HERE / "peers" / "export_label.py", server.url, *arguments]
    return measure.run(command, environment, BUILD / "last.log")


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """Measure both sizes, and return the results."""
    sizes = (300, 3_000) if quick else (15_000, 150_000)
    found: dict[str, list[dict[str, Any]]] = {}
    with serve({f"plan-{items}": items for items in sizes}) as server:
        for items in sizes:
            plan = f"plan-{items}"
            shutil.rmtree(BUILD / "first", ignore_errors=True)
            export(server, str(BUILD / "first"), "1", "changes", plan)
            edited = edit(server, plan, items)
            found[str(items)] = []
            for _ in range(rounds):
                without, _ = second_export(server, plan, "-")
                cost, changed = second_export(server, plan, "changes")
                if changed != edited:
                    raise RuntimeError(f"{edited} items were edited, and {changed} found")
                figures = {"cpu_s": cost.cpu, "cpu_s_without": without.cpu, "peak_mb": cost.peak_mb}
                found[str(items)].append({**figures, "peak_mb_without": without.peak_mb})
                print(items, found[str(items)][-1], flush=True)
    return {"share": SHARE, "found": found}
