"""`python -m airflow_provider_achieveit.sandbox`, as a user starts it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_provider_achieveit.sandbox import DEMO_KEY, DEMO_PLANS, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "airflow_provider_achieveit.sandbox"]
READY = re.compile(r"AchieveIt sandbox at (http://127\.0\.0\.1:\d+) key (.+) plans (.*)\n")
PROBE = "import os; print(os.environ['AIRFLOW_CONN_ACHIEVEIT_DEFAULT'])"


@contextmanager
def _started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its URL and the rest of the line that it prints when it is ready."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            ready = READY.fullmatch(line)
            assert ready, line + process.stderr.read()
            yield process, ready[1], f"{ready[2]} {ready[3]}"
        finally:
            process.kill()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_serves_the_demo_plans_until_it_is_told_to_stop(signal_number):
    """One line says where, with which key and which plans; a signal ends it, even while a client is connected."""
    with _started() as (process, url, rest), requests.Session() as session:
        assert rest == " ".join([DEMO_KEY, *(f"{plan}={items}" for plan, items in DEMO_PLANS.items())])
        for plan_id, items in DEMO_PLANS.items():
            response = session.get(
                f"{url}/exports/plans/{plan_id}", headers={"Authorization": f"API-KEY {DEMO_KEY}"}, timeout=30
            )
            assert response.json()["totalCount"] == items
        process.send_signal(signal_number)
        assert process.wait(30) == 0
        assert len(process.stdout.read().splitlines()) == 2
        assert process.stderr.read() == ""


@pytest.mark.parametrize("key", ["sandbox-key", 'it\'s a \\ "key" with $HOME'])
def test_prints_a_connection_that_can_be_pasted(key):
    """Bash takes the line as it stands, and the connection leads to the sandbox, with its port and key."""
    with _started("--key", key) as (process, url, _):
        line = process.stdout.readline()
        shell = subprocess.run(["bash", "-c", f'{line}\n"$0" -c "$1"', sys.executable, PROBE], capture_output=True)
        assert json.loads(shell.stdout) == {"conn_type": "achieveit", "host": url, "password": key}


def test_options_reach_the_server():
    """Plans, key, page size and compression are what the options say, and somebody edits."""
    plans = ["--plan", "a=7", "--plan", "b=0", "--seed", "3"]
    options = ["--key", "k", "--max-take", "5", "--no-gzip", "--latency", "0.2", "--edits-per-minute", "6000"]
    with _started(*plans, *options) as (_, url, rest):
        assert rest == "k a=7 b=0"
        settings = requests.get(f"{url}/_sandbox/settings", timeout=30).json()
        assert settings == {"key": "k", "latency": 0.2, "max_take": 5, "gzip": False}
        started = time.monotonic()
        page = requests.get(f"{url}/exports/plans/a", headers={"Authorization": "API-KEY k"}, timeout=30)
        assert time.monotonic() - started >= 0.2
        assert "content-encoding" not in page.headers
        assert len(page.json()["items"]) == 5
        deadline = time.monotonic() + 30
        headers = {"Authorization": "API-KEY k"}
        while "(edit " not in requests.get(f"{url}/exports/plans/a", headers=headers, timeout=30).text:
            assert time.monotonic() < deadline
        with Sandbox({"a": 7}, seed=3) as same:
            assert same.plan("a").items()[0]["id"] == page.json()["items"][0]["id"]


def test_compresses_by_default():
    """As the real API might; a plan that is read from another country should not take all day."""
    with _started("--plan", "a=9") as (_, url, _):
        page = requests.get(f"{url}/exports/plans/a", headers={"Authorization": f"API-KEY {DEMO_KEY}"}, timeout=30)
        assert page.headers["content-encoding"] == "gzip"


def test_says_when_the_port_is_taken():
    """One line of explanation and an exit code, no stack trace."""
    with Sandbox() as other:
        taken = subprocess.run([*COMMAND, "--port", str(other.port), "--plan", "a=1"], capture_output=True, text=True)
    assert taken.returncode == 1
    assert f"cannot listen on port {other.port}" in taken.stderr
    assert "Traceback" not in taken.stderr


@pytest.mark.parametrize(
    "option", ["--plan=a", "--plan==3", "--plan=a=x", "--plan=a=-1", "--latency=-1", "--latency=nan", "--max-take=0"]
)
def test_refuses_bad_options(option):
    """Exit code 2, as usual for bad usage, with the option named."""
    refused = subprocess.run([*COMMAND, option], capture_output=True, text=True)
    assert refused.returncode == 2
    assert option.partition("=")[0] in refused.stderr
