"""`python -m airflow_provider_achieveit.sandbox`: serve made-up plans until Ctrl-C."""

# ruff: noqa: T201 - a program for a terminal prints

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING

from airflow_provider_achieveit.sandbox import DEMO_KEY, DEMO_PLANS, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        The exit code: 0 after a signal, 1 when the server could not start.
    """
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    plans, edits_per_minute = dict(options.pop("plan") or DEMO_PLANS), options.pop("edits_per_minute")
    stopped = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stopped.set())
    try:
        sandbox = Sandbox(plans, **options)
        for plan in sandbox.plans.values():
            plan.state().positions()  # made now, and not while the first client waits for it
        sandbox.start()
    except ValueError as error:
        parser.error(f"--plan: {error}")
    except (OSError, OverflowError) as error:
        print(f"cannot listen on port {options['port']}: {error}", file=sys.stderr)
        return 1
    try:
        served = " ".join(f"{plan.id}={len(plan)}" for plan in sandbox.plans.values())
        print(f"AchieveIt sandbox at {sandbox.url} key {sandbox.key} plans {served}")
        print(f"{sandbox.connection_line}\nOpen {sandbox.url}/ to see what it can do. Ctrl-C ends it.", flush=True)
        _edit_until(stopped, sandbox, edits_per_minute)
    finally:
        sandbox.stop()
    return 0


def _edit_until(stopped: threading.Event, sandbox: Sandbox, edits_per_minute: float) -> None:
    pause = 60 / edits_per_minute if edits_per_minute > 0 else None
    while not stopped.wait(pause):
        filled = [plan for plan in sandbox.plans.values() if len(plan)]
        if filled:
            random.choice(filled).edit()  # noqa: S311 - any will do


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_achieveit.sandbox",
        description="A local AchieveIt API with made-up plans, on loopback only.",
    )
    add = parser.add_argument
    add("--port", type=int, default=8765, help="port to listen on, 0 for any free one (default: %(default)s)")
    add("--key", default=DEMO_KEY, help="the API key that is accepted (default: %(default)s)")
    add(
        "--plan",
        type=_plan,
        action="append",
        metavar="ID=ITEMS",
        help="a plan to serve; repeatable; no demo plans then",
    )
    add("--seed", type=int, default=0, help="another seed gives other items (default: %(default)s)")
    add("--latency", type=_number(float, 0), default=0.0, metavar="SECONDS", help="pause before each answer")
    add("--edits-per-minute", type=_number(float, 0), default=0.0, metavar="RATE", help="edit items at random")
    add("--gzip", action=argparse.BooleanOptionalAction, default=True, help="compress where the client accepts it")
    add("--max-take", type=_number(int, 1), default=1500, help="the largest page (default: %(default)s)")
    return parser


def _plan(argument: str) -> tuple[str, int]:
    plan_id, _, items = argument.rpartition("=")
    if not plan_id or not items.isascii() or not items.isdigit():
        raise argparse.ArgumentTypeError(f"expected ID=ITEMS, such as my-plan=900, not {argument!r}")
    return plan_id, int(items)


def _number(kind: type[int] | type[float], low: int) -> Callable[[str], float]:
    def parse(argument: str) -> float:
        number = kind(argument)
        if not low <= number <= 86_400:
            raise argparse.ArgumentTypeError(f"expected a number from {low} to 86400, not {argument!r}")
        return number

    return parse


if __name__ == "__main__":
    sys.exit(main())
