"""`python -m airflow_provider_achieveit.sandbox`: serve made-up plans until Ctrl-C."""

# ruff: noqa: T201 - a program for a terminal prints

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING

from airflow_provider_achieveit.sandbox import DEMO_KEY, DEMO_PLANS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from airflow_provider_achieveit.sandbox import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        The exit code: 0 after a signal, 1 when the server could not start.
    """
    options = _parser().parse_args(arguments)
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, stop)
    try:
        sandbox = _sandbox(options)
        sandbox.start()
    except ModuleNotFoundError as error:
        print(f"{error}: install airflow-provider-achieveit with its extra `sandbox`", file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    try:
        plans = " ".join(f"{plan.id}={len(plan)}" for plan in sandbox.plans.values())
        print(f"AchieveIt sandbox at {sandbox.url} key {sandbox.key} plans {plans}", flush=True)
        _edit_until(stopped, sandbox, options.edits_per_minute)
    finally:
        sandbox.stop()
    return 0


def _sandbox(options: argparse.Namespace) -> Sandbox:
    from airflow_provider_achieveit.sandbox import Sandbox

    sandbox = Sandbox(
        dict(options.plan or DEMO_PLANS),
        key=options.key,
        host=options.host,
        port=options.port,
        seed=options.seed,
        latency=options.latency,
        max_take=options.max_take,
        gzip=options.gzip,
    )
    for plan in sandbox.plans.values():
        plan.state().positions()  # made now, and not while the first client waits for it
    return sandbox


def _edit_until(stopped: threading.Event, sandbox: Sandbox, edits_per_minute: float) -> None:
    pause = 60 / edits_per_minute if edits_per_minute > 0 else None
    while not stopped.wait(pause):
        filled = [plan for plan in sandbox.plans.values() if len(plan)]
        if filled:
            random.choice(filled).edit()  # noqa: S311 - any will do


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_achieveit.sandbox",
        description="A local AchieveIt API with made-up plans. Without protection of any kind: keep it on loopback.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
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
    add("--latency", type=_positive, default=0.0, metavar="SECONDS", help="pause before each answer")
    add("--edits-per-minute", type=_positive, default=0.0, metavar="RATE", help="edit items at random, this often")
    add("--gzip", action=argparse.BooleanOptionalAction, default=True, help="compress where the client accepts it")
    add("--max-take", type=_page_size, default=1500, help="the largest page (default: %(default)s)")
    return parser


def _plan(argument: str) -> tuple[str, int]:
    plan_id, _, items = argument.rpartition("=")
    if not plan_id or not items.isascii() or not items.isdigit():
        raise argparse.ArgumentTypeError(f"expected ID=ITEMS, such as my-plan=900, not {argument!r}")
    return plan_id, int(items)


def _page_size(argument: str) -> int:
    number = int(argument)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {argument!r}")
    return number


def _positive(argument: str) -> float:
    number = float(argument)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, not {argument!r}")
    return number


if __name__ == "__main__":
    sys.exit(main())
