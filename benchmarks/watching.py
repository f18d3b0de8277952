"""Watch many plans in one process, as a triggerer does: CPU share, lag of the event loop, requests.

python benchmarks/watching.py [--plans 500] [--interval 60] [--minutes 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time

from server import Server, serve

from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger

TICK = 0.02


async def lags(until: float) -> list[float]:
    """Measure by how much a tick comes late."""
    found = []
    while time.monotonic() < until:
        before = time.monotonic()
        await asyncio.sleep(TICK)
        found.append(time.monotonic() - before - TICK)
    return found


async def watch(server: Server, plans: list[str], interval: float, minutes: float) -> dict[str, float]:
    """Start a watcher a plan; measure after the first round, in which all of them look at once."""

    async def consume(trigger: AchieveItPlanChangeTrigger) -> None:
        async for event in trigger.run():
            raise AssertionError(event)

    watchers = [
        asyncio.create_task(consume(AchieveItPlanChangeTrigger(plan_id=plan, poll_interval=interval))) for plan in plans
    ]
    first = sorted(await lags(time.monotonic() + interval / 2))
    await asyncio.to_thread(server.control, "DELETE", "/requests")
    cpu, started = time.process_time(), time.monotonic()
    late = sorted(await lags(started + minutes * 60))
    elapsed = time.monotonic() - started
    share = (time.process_time() - cpu) / elapsed
    traffic = await asyncio.to_thread(server.control, "GET", "/requests")
    for watcher in watchers:
        watcher.cancel()
    results = await asyncio.gather(*watchers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results), results
    return {
        "plans": len(plans),
        "interval_s": interval,
        "cpu_share": round(share, 4),
        "requests_a_minute": round(traffic["requests"] / elapsed * 60, 1),
        "lag_ms_median": round(late[len(late) // 2] * 1e3, 2),
        "lag_ms_99": round(late[len(late) * 99 // 100] * 1e3, 2),
        "lag_ms_max": round(late[-1] * 1e3, 2),
        "lag_ms_max_while_all_start": round(first[-1] * 1e3, 2),
    }


def main() -> None:
    """Print the figures as a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--interval", type=float, default=60)
    parser.add_argument("--minutes", type=float, default=3)
    options = parser.parse_args()
    plans = [f"plan-{number}" for number in range(options.plans)]
    with serve(dict.fromkeys(plans, 10)) as server:
        connection = {"conn_type": "achieveit", "host": server.url, "password": "sandbox-key"}
        os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"] = json.dumps(connection)
        print(json.dumps(asyncio.run(watch(server, plans, options.interval, options.minutes))))


if __name__ == "__main__":
    main()
