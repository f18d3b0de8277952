"""`make demo`, for real: what it leaves, and that nothing of it is left running, however it ends."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from airflow_provider_achieveit.sandbox import DEMO_PLANS
from dev.demo import HOME
from dev.processes import sweep
from dev.stage import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def left_running() -> list[str]:
    """Return the command lines of all processes that run in the demo's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(HOME)):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """The demo, just started, with the arguments that a test gives."""
    with subprocess.Popen(
        [sys.executable, "-m", "dev.demo", *getattr(request, "param", [])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background has Ctrl-C ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            sweep(HOME / "run")


def wait_for_airflow(demo: subprocess.Popen[str]) -> None:
    """Wait until at least one of Airflow's programs is there."""
    while not (HOME / "programs").exists() or not left_running():
        assert demo.poll() is None
        time.sleep(0.1)


def test_shows_what_landed(demo: subprocess.Popen[str]) -> None:
    """The demo ends well, lists every plan's objects with their rows, and has stopped everything."""
    output, _ = demo.communicate()
    assert demo.returncode == 0, output
    for plan_id, items in DEMO_PLANS.items():
        assert re.search(rf"plan_items/plan={plan_id}/snapshot=.*\.parquet +{items:,} ", output), output
        assert f"_manifests/plan={plan_id}/snapshot=" in output
    assert re.search(r"plan_name +status +items +overdue\n.+\n +\w", output), output
    assert left_running() == []


@pytest.mark.parametrize("demo", [["--table-format", "delta"], ["--table-format", "iceberg"]], indirect=True)
def test_shows_what_landed_in_a_table_format(demo: subprocess.Popen[str]) -> None:
    """The rows of every plan, and a query with its answer."""
    output, _ = demo.communicate()
    assert demo.returncode == 0, output
    for plan_id, items in DEMO_PLANS.items():
        assert re.search(rf"plan_items: plan={plan_id}/snapshot=\S+ +{items:,} ", output), output
    assert re.search(r"plan_name +status +items +overdue\n.+\n +\w", output), output


def wait_for_run(demo: subprocess.Popen[str]) -> None:
    """Wait until the demo says that its DAG runs."""
    assert demo.stdout is not None
    said = ""
    while "Running the DAG" not in said:
        character = demo.stdout.read(1)
        assert character, said
        said += character


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("wait", [wait_for_airflow, wait_for_run], ids=["starting", "running"])
def test_stops_everything_when_interrupted(
    demo: subprocess.Popen[str], number: int, wait: Callable[[subprocess.Popen[str]], None]
) -> None:
    """Ctrl-C and SIGTERM, while Airflow starts or while it runs, leave nothing running; not even when hit twice."""
    wait(demo)
    demo.send_signal(number)
    time.sleep(0.5)
    if number == signal.SIGINT:
        demo.send_signal(number)
    output, _ = demo.communicate()
    assert demo.returncode == 128 + number, output
    assert "Traceback" not in output
    assert left_running() == []


def test_cleans_up_after_a_demo_that_was_killed(demo: subprocess.Popen[str]) -> None:
    """A demo that had no chance to stop anything does not disturb the next one, which stops what was left."""
    wait_for_airflow(demo)
    demo.kill()
    demo.communicate()
    assert left_running()
    again = subprocess.run([sys.executable, "-m", "dev.demo"], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert left_running() == []
