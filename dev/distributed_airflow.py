"""An Airflow on several machines, as far as one machine can play them: no program sees a folder of another one."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.local_airflow import PROGRAMS, LocalAirflow
from dev.processes import kill

WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")


class DistributedAirflow(LocalAirflow):
    """Airflow with CeleryExecutor: two workers and two triggerers beside the other programs.

    Each program has a user's name, a `HOME`, an `AIRFLOW_HOME`, a temporary directory and a copy of the DAG files of
    its own; what they share is the metadata database, the broker and the API server.
    """

    health: Mapping[str, str | None] = {
        **{name: key for name, key in PROGRAMS.items() if name != "triggerer"},
        **dict.fromkeys(TRIGGERERS, "triggerer"),
        **dict.fromkeys(WORKERS),
    }

    def __init__(self, home: Path, dags_folder: Path, *, database: str, broker: str, **arguments: Any) -> None:
        """Describe the Airflow; entering the context starts it.

        Args:
            home: As for `LocalAirflow`; each program gets a folder below it.
            dags_folder: Where the DAG files are; each program gets a copy.
            database: The metadata database, as an address for SQLAlchemy.
            broker: Celery's broker, as an address for Celery.
            **arguments: As for `LocalAirflow`.
        """
        self._dags, self._database, self._broker = dags_folder, database, broker
        super().__init__(home, dags_folder, **arguments)

    def _settings(self, dags_folder: Path, port: int) -> dict[str, str]:
        return super()._settings(dags_folder, port) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CELERY__BROKER_URL": self._broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self._database}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
            # What a lost worker ran is noticed after one minute instead of five, and what it had taken from the broker
            # and not begun after one minute instead of ten; by default Airflow gives that up after the third time.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
            "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "30",
            # One triggerer has no room for all that the tests defer, so that both have some.
            "AIRFLOW__TRIGGERER__CAPACITY": "6",
        }

    def folder(self, name: str) -> Path:
        """Return the folder of the machine that a program runs on."""
        return self.home / "machines" / name

    def _arguments(self, name: str) -> list[str]:
        if name in WORKERS:
            return ["celery", "worker", "--celery-hostname", f"{name}@localhost", "--skip-serve-logs"]
        return super()._arguments("triggerer" if name in TRIGGERERS else name)

    def _environment_of(self, name: str) -> dict[str, str]:
        folder = self.folder(name)
        own = {"HOME": folder, "AIRFLOW_HOME": folder / "airflow", "TMPDIR": folder / "tmp"}
        own["AIRFLOW__CORE__DAGS_FOLDER"] = folder / "dags"
        # Airflow notes the user's name with each job and task: that tells which machine has them.
        return self.environment | {variable: str(path) for variable, path in own.items()} | {"LOGNAME": name}

    def _make_folders(self) -> None:
        super()._make_folders()
        for name in self.health:
            self._make_machine(name)

    def _make_machine(self, name: str) -> None:
        folder = self.folder(name)
        (folder / "tmp").mkdir(parents=True)
        shutil.copytree(self._dags, folder / "dags")

    def lose(self, name: str) -> None:
        """Kill a program and all that it started at once, and forget its disk: the machine is gone."""
        program = self.programs[name]
        kill(program.family())
        program.forget()
        shutil.rmtree(self.folder(name))

    def replace(self, name: str) -> None:
        """Start a program on a new machine, with an empty disk."""
        self._make_machine(name)
        self.start_program(name)

    def wait_for_workers(self) -> None:
        """Wait until Celery says of all workers that they are ready."""
        self.wait_until(lambda: all(self._ready(name) for name in WORKERS), "the workers to be ready")

    def _ready(self, name: str) -> bool:
        return f"{name}@localhost ready." in self.programs[name].log.read_text(errors="replace")
