"""A real Airflow 3 on this machine: `make demo`, `make airflow` and the end-to-end tests use it.

Scheduler, triggerer, DAG processor and API server are programs of their own, as in production, so that a test can stop
and start each of them. The metadata database is SQLite; the API listens on the loopback interface only.
"""

import atexit
import base64
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from dev.airflow_api import AirflowApi
from dev.processes import Process, clean_environment, exit_on_signals, free_port, stop_all, sweep

# How each program is called by its command line and in the answer of the API's health page.
PROGRAMS = {
    "api-server": None,
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
# Generous: a busy machine takes a minute to start everything.
START_TIMEOUT = 240.0


class LocalAirflow(AirflowApi):
    """Airflow in a folder; a context manager that leaves nothing running."""

    def __init__(
        self, home: Path, dags_folder: Path, *, port: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Describe the Airflow; entering the context starts it.

        Args:
            home: A folder of its own. What an earlier one left there is removed.
            dags_folder: Where the DAG files are.
            port: The port of API and UI, or None for a free one.
            environment: More environment variables for all its programs.
        """
        self.home = home.resolve()
        port = port or free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        self._cwd = self.home / "run"
        self.environment = clean_environment(**self._settings(dags_folder, port), **(environment or {}))
        self.programs = {name: self._program(name) for name in PROGRAMS}

    def _settings(self, dags_folder: Path, port: int) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder.resolve()),
            # SQLite has one writer at a time. The others give up after 5 seconds, on a busy machine too soon.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            # No login: the API is on the loopback interface.
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def _program(self, name: str) -> Process:
        command = [sys.executable, "-m", "airflow", name]
        return Process(name, command, log=self.home / "programs" / f"{name}.log", env=self.environment, cwd=self._cwd)

    # Starting and stopping

    def __enter__(self) -> Self:
        """Start everything; see `start`."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop everything; see `stop`."""
        self.stop()

    def start(self) -> None:
        """Make the metadata database, start all programs and wait until all of them say that they are healthy."""
        exit_on_signals()
        atexit.register(self.stop)
        sweep(self._cwd)
        shutil.rmtree(self.home, ignore_errors=True)
        self._cwd.mkdir(parents=True)
        self.cli("db", "migrate")
        for program in self.programs.values():
            program.start()
        self.wait_until_healthy()

    def stop(self) -> None:
        """Stop everything and wait until it is gone. A second Ctrl-C does not interrupt this."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
        try:
            # The API server last: the others talk to it while they stop.
            stop_all(program for name, program in self.programs.items() if name != "api-server")
            stop_all([self.programs["api-server"]])
            sweep(self._cwd)
        finally:
            if in_main_thread:
                signal.signal(signal.SIGINT, before)
        atexit.unregister(self.stop)

    def start_program(self, name: str) -> None:
        """Start one program again and wait until it is healthy.

        Args:
            name: `api-server`, `scheduler`, `dag-processor` or `triggerer`.
        """
        self.programs[name].start()
        self.wait_until_healthy()

    def stop_program(self, name: str) -> None:
        """Stop one program and wait until it is gone; the others go on.

        Args:
            name: `api-server`, `scheduler`, `dag-processor` or `triggerer`.
        """
        self.programs[name].stop()

    def check(self) -> None:
        """Raise ProcessDiedError if one of the programs ended by itself."""
        for program in self.programs.values():
            program.check()

    def wait_until_healthy(self) -> None:
        """Wait until every program that runs has given a sign of life since it was started."""
        self.wait_until(self._healthy, "Airflow to be healthy", START_TIMEOUT)

    def _healthy(self) -> bool:
        try:
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
        except (requests.RequestException, ValueError):
            return False
        for name, key in PROGRAMS.items():
            program = self.programs[name]
            if key is None or not program.running:
                continue
            heartbeat = health[key][f"latest_{key}_heartbeat"]
            if health[key]["status"] != "healthy" or datetime.fromisoformat(heartbeat).timestamp() < program.started_at:
                return False
        return bool(health["metadatabase"]["status"] == "healthy")

    def cli(self, *arguments: str) -> str:
        """Run the `airflow` command and return what it prints.

        Args:
            *arguments: Such as `"dags", "list"`.

        Returns:
            Its standard output.

        Raises:
            RuntimeError: It failed; with all that it printed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            cwd=self._cwd,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"airflow {' '.join(arguments)} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout
