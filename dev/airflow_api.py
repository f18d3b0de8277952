"""Airflow's REST API, as far as the demo and the end-to-end tests need it."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import requests

T = TypeVar("T")

# Only against hangs.
RUN_TIMEOUT = 240.0
# SQLite refuses at once whoever has read what another one writes meanwhile; nothing was done then.
DATABASE_TRIES = 10


class AirflowApi:
    """An Airflow that runs somewhere, with an API that asks for no login."""

    def __init__(self, url: str) -> None:
        """Describe it; nothing is sent yet.

        Args:
            url: Where its API server listens.
        """
        self.url = url
        self._session = requests.Session()
        # A proxy of the caller's has no business between us and this machine.
        self._session.trust_env = False

    def check(self) -> None:
        """Raise if there is no use in waiting any longer."""

    def wait_until(self, condition: Callable[[], T], what: str, timeout: float = RUN_TIMEOUT) -> T:
        """Wait until a condition is true, while Airflow stays alive.

        Args:
            condition: Called twice a second.
            what: What is waited for, for the error message.
            timeout: The most seconds to wait.

        Returns:
            The condition's value.

        Raises:
            ProcessDiedError: One of Airflow's programs ended by itself.
            TimeoutError: The condition did not become true in time.
        """
        end = time.monotonic() + timeout
        while not (value := condition()):
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"Waited {timeout:.0f} s in vain for {what}")
            time.sleep(0.5)
        return value

    def api(self, method: str, path: str, **arguments: Any) -> Any:
        """Call Airflow's REST API.

        Args:
            method: `GET`, `POST`, …
            path: The path below `/api/v2/`.
            **arguments: As `requests` takes them: `json`, `params`.

        Returns:
            The decoded answer, or None if there is none.
        """
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"
        for _ in range(DATABASE_TRIES):
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=90, **arguments)
            if answer.status_code != 500 or "Database error" not in answer.text:
                break
            time.sleep(1)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json() if answer.content else None

    def add_connection(self, connection_id: str, conn_type: str, **fields: Any) -> None:
        """Store a connection.

        Args:
            connection_id: Its id.
            conn_type: Its type.
            **fields: `host`, `password`, `extra` (JSON text) …
        """
        self.api("POST", "connections", json={"connection_id": connection_id, "conn_type": conn_type, **fields})

    def unpause(self, dag_id: str) -> None:
        """Wait until the DAG is loaded, and let it run."""
        self.wait_for_dag(dag_id)
        self.api("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG is loaded; fail if its file, or another one, cannot be imported."""

        def loaded() -> bool:
            if errors := self.api("GET", "importErrors")["import_errors"]:
                raise RuntimeError("\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors))
            with suppress(requests.HTTPError):
                return bool(self.api("GET", f"dags/{dag_id}"))
            return False

        self.wait_until(loaded, f"the DAG {dag_id} to be loaded")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run, without a logical date.

        Args:
            dag_id: The DAG, which must be loaded.
            conf: The run's configuration: values of the DAG's params.

        Returns:
            The run's id.
        """
        run = self.api("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG, the oldest first."""
        runs: list[dict[str, Any]] = self.api("GET", f"dags/{dag_id}/dagRuns", params={"order_by": "id"})["dag_runs"]
        return runs

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = RUN_TIMEOUT) -> str:
        """Wait until a run is over and return its state, `success` or `failed`."""
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}"

        def state() -> str:
            state = str(self.api("GET", path)["state"])
            return state if state in ("success", "failed") else ""

        return self.wait_until(state, f"the run {run_id} of {dag_id} to end", timeout)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances"
        instances: list[dict[str, Any]] = self.api("GET", path)["task_instances"]
        return instances

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value of an XCom."""
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.api("GET", path, params={"map_index": map_index, "deserialize": True})["value"]

    def asset_events(self, **filters: Any) -> list[dict[str, Any]]:
        """Return asset events, the oldest first; `source_dag_id` and so on filter them."""
        params = {"order_by": "timestamp", **filters}
        events: list[dict[str, Any]] = self.api("GET", "assets/events", params=params)["asset_events"]
        return events

    def task_log(self, instance: Mapping[str, Any]) -> str:
        """Return the log of a task instance's last try, as the UI shows it."""
        path = (
            f"dags/{instance['dag_id']}/dagRuns/{_quoted(instance['dag_run_id'])}/taskInstances/{instance['task_id']}"
        )
        answer = self.api(
            "GET",
            f"{path}/logs/{max(1, instance['try_number'])}",
            params={"map_index": instance["map_index"], "full_content": True},
            headers={"Accept": "application/json"},
        )
        return "\n".join(_line(event) for event in answer["content"])


def _quoted(run_id: str) -> str:
    # A run id holds the run's time: `manual__2026-11-23T10:02:03+00:00`.
    return quote(run_id, safe="")


def _line(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    trace = [f"  {error.get('exc_type')}: {error.get('exc_value')}" for error in event.get("error_detail") or []]
    return "\n".join([f"{event.get('level', '')} {event.get('event', '')}".strip(), *trace])
