"""The "Test" button of Airflow's UI: what the browser posts, to the route that answers it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dev.processes import clean_environment

if TYPE_CHECKING:
    from tests.support.faulty_sandbox import Sandbox

pytestmark = pytest.mark.slow

#: Saves connections, and posts for each what the UI (3.3.2) posts after it was opened and "Test" was pressed: the
#: password is masked, and a port that is not there is 0.
PROGRAM = """
import json, sys
from fastapi.testclient import TestClient
from airflow.api_fastapi.app import create_app
from airflow.models import Connection
from airflow.utils.session import create_session

client = TestClient(create_app(apps="core"), base_url="http://localhost")
token = client.get("/auth/token").json()["access_token"]
answers = {}
for conn_id, fields in json.loads(sys.argv[1]).items():
    with create_session() as session:
        session.add(Connection(conn_id=conn_id, conn_type="achieveit", **fields))
    shown = {
        "connection_id": conn_id, "conn_type": "achieveit", "description": "", "login": "", "schema": "",
        "host": fields["host"], "port": fields.get("port", 0), "password": "***", "extra": fields["extra"],
    }
    response = client.post(
        "/api/v2/connections/test", json=shown, headers={"Authorization": f"Bearer {token}"}
    )
    answers[conn_id] = [response.status_code, response.json()]
print(json.dumps(answers))
"""


@pytest.fixture
def press(tmp_path: Path, sandbox: Sandbox) -> Any:
    """Make a function that saves connections and returns what the UI gets for each."""
    environment = clean_environment(
        AIRFLOW_HOME=str(tmp_path),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__TEST_CONNECTION="Enabled",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
        AIRFLOW__API_AUTH__JWT_SECRET="x" * 64,
    )

    def press(connections: dict[str, Any]) -> dict[str, Any]:
        for command in (["-m", "airflow", "db", "migrate"], ["-c", PROGRAM, json.dumps(connections)]):
            done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answers

    return press


def test_a_connection_with_a_port_of_its_own_can_be_tested(press: Any, sandbox: Sandbox) -> None:
    """Airflow takes the port 0 that its UI posts for another port than none, and then wants the password again."""
    url = urlsplit(sandbox.url)
    common = {"password": sandbox.key, "extra": json.dumps({"test_plan_id": "p1"})}
    answers = press(
        {
            "with_port": {"host": f"{url.scheme}://{url.hostname}", "port": url.port, **common},
            "without_port": {"host": sandbox.url, **common},
        }
    )
    assert answers["with_port"] == [200, {"status": True, "message": "The key's user sees 25 items of plan p1."}]
    status, answer = answers["without_port"]
    assert status == 400
    assert "host or port" in answer["detail"]
