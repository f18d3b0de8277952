"""A real Airflow on this machine: `make demo`, `make airflow`, the matrix and the end-to-end tests use it.

Scheduler, triggerer, DAG processor and API server (a web server in Airflow 2) are programs of their own, as in
production, so that a test can stop and start each of them. The metadata database is SQLite; nothing listens on more
than the loopback interface.
"""

import atexit
import base64
import json
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from dev.airflow_api import AirflowApi
from dev.processes import Process, clean_environment, exit_on_signals, free_port, stop_all, sweep

AIRFLOW_2 = version("apache-airflow").startswith("2.")
# The program that the others and the user talk to.
SERVER = "webserver" if AIRFLOW_2 else "api-server"
HEALTH_PAGE = "health" if AIRFLOW_2 else "api/v2/monitor/health"
# How each program is called by its command line and in the answer of the health page, where it is there.
PROGRAMS = {
    SERVER: None,
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    # Airflow 2 has it only where the database is no SQLite: there the scheduler loads the DAGs.
    **({} if AIRFLOW_2 else {"dag-processor": "dag_processor"}),
}
# Generous: a busy machine takes a minute to start everything.
START_TIMEOUT = 240.0


class LocalAirflow(AirflowApi):
    """Airflow in a folder; a context manager that leaves nothing running.

    Attributes:
        health: For each program, how the health page calls it, or None.
        programs: The programs by name.
        environment: The environment variables that they have in common.
    """

    health: Mapping[str, str | None] = PROGRAMS

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        *,
        port: int | None = None,
        connections: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the Airflow; entering the context starts it.

        Args:
            home: A folder of its own. What an earlier one left there is removed.
            dags_folder: Where the DAG files are.
            port: The port of API and UI, or None for a free one.
            connections: Connections that are in the database before any program runs: by id, as a URI or as fields.
            environment: More environment variables for all its programs.
        """
        self.home = home.resolve()
        port = port or free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        self._cwd = self.home / "run"
        self._connections = dict(connections or {})
        self.environment = clean_environment(**self._settings(dags_folder, port), **(environment or {}))
        self.programs = {name: self._program(name) for name in self.health}

    def _settings(self, dags_folder: Path, port: int) -> dict[str, str]:
        settings = {
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
            # The first requests to an API server that has just started take longer than the default of 5 seconds.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        return settings | self._settings_of_airflow_2(port) if AIRFLOW_2 else settings

    def _settings_of_airflow_2(self, port: int) -> dict[str, str]:
        return {
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__FAB__UPDATE_FAB_PERMS": "False",  # takes long, and nobody logs in
            # Else Airflow 2 insists on one task at a time with SQLite; with a time limit of 60 seconds, see above, more
            # work as well.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        }

    def _program(self, name: str) -> Process:
        command = [sys.executable, "-m", "airflow", *self._arguments(name)]
        log = self.home / "programs" / f"{name}.log"
        return Process(name, command, log=log, env=self._environment_of(name), cwd=self._cwd)

    def _arguments(self, name: str) -> list[str]:
        # Some have log servers that listen on every interface. All programs are on this machine and read the files.
        return [name, "--skip-serve-logs"] if name in ("scheduler", "triggerer") else [name]

    def _environment_of(self, name: str) -> dict[str, str]:
        return self.environment

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
        self._make_folders()
        self.cli("db", "migrate")
        self._import_connections()
        for program in self.programs.values():
            program.start()
        self.wait_until_healthy()

    def _make_folders(self) -> None:
        self._cwd.mkdir(parents=True)

    def _import_connections(self) -> None:
        if not self._connections:
            return
        file = self.home / "connections.json"
        file.write_text(json.dumps(self._connections))
        self.cli("connections", "import", str(file))
        file.unlink()  # it holds secrets in the clear

    def stop(self) -> None:
        """Stop everything and wait until it is gone. A second Ctrl-C does not interrupt this."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
        try:
            # The API server last: the others talk to it while they stop.
            stop_all(program for name, program in self.programs.items() if name != SERVER)
            stop_all([self.programs[SERVER]])
            sweep(self._cwd)
        finally:
            if in_main_thread:
                signal.signal(signal.SIGINT, before)
        atexit.unregister(self.stop)

    def start_program(self, name: str) -> None:
        """Start one program again and wait until it is healthy.

        Args:
            name: One of `programs`.
        """
        self.programs[name].start()
        self.wait_until_healthy()

    def stop_program(self, name: str) -> None:
        """Stop one program and wait until it is gone; the others go on.

        Args:
            name: One of `programs`.
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
            health = self._session.get(f"{self.url}/{HEALTH_PAGE}", timeout=10).json()
        except (requests.RequestException, ValueError):
            return False
        for name, key in self.health.items():
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
