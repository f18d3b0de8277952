"""`make airflow`, for real: its UI and its sandbox answer, and Ctrl-C stops all of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import psutil
import pytest
import requests

from dev.processes import sweep
from dev.stage import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOME = ROOT / ".airflow" / "playground"


def test_it_answers_until_ctrl_c_which_stops_everything() -> None:
    """The UI, without a login; the sandbox's page; then no program and no port of it is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.playground", "--port", "0", "--sandbox-port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background has Ctrl-C ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    )
    assert process.stdout is not None
    said = ""
    try:
        while "Ctrl-C stops everything." not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        airflow, sandbox = (
            re.findall(rf"{name} +(http://127\.0\.0\.1:\d+)", said)[0] for name in ("Airflow", "Sandbox")
        )
        page = requests.get(airflow, timeout=60)
        assert page.status_code == 200
        assert "<html" in page.text
        assert "sandbox" in requests.get(sandbox, timeout=60).text.lower()
        programs = psutil.Process(process.pid).children(recursive=True)
        assert len(programs) > 3
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
        assert rest.strip().endswith("Stopped.")
        assert [program for program in programs if program.is_running()] == []
        for url in (airflow, sandbox):
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=5)
    finally:
        process.kill()
        sweep(HOME / "run")
