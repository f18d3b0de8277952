"""The sandbox and a real Airflow that knows it: the stage of `make demo`, `make airflow` and the end-to-end tests."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_achieveit.sandbox import DEMO_PLANS, Sandbox
from dev.local_airflow import LocalAirflow
from dev.processes import free_port

ROOT = Path(__file__).parent.parent
EXAMPLE_DAGS = ROOT / "example_dags"
LAKE = ROOT / "lake"


@contextmanager
def sandbox_and_airflow(
    home: Path,
    *,
    dags_folder: Path = EXAMPLE_DAGS,
    plans: Mapping[str, int] = DEMO_PLANS,
    ports: tuple[int, int] = (0, 0),
    environment: Mapping[str, str] | None = None,
    make: type[Sandbox] = Sandbox,
) -> Iterator[tuple[Sandbox, LocalAirflow]]:
    """Run a sandbox and an Airflow whose connection `achieveit_default` leads to it.

    Args:
        home: Airflow's folder; what an earlier run left there is removed.
        dags_folder: Where the DAG files are.
        plans: The sandbox's plans and their numbers of items.
        ports: Where sandbox and Airflow should listen; each takes a free port where that one is taken.
        environment: More environment variables for Airflow's programs.
        make: The class of the sandbox; tests have one that does more.

    Yields:
        The sandbox, in a thread of this process, and Airflow, in processes of its own.
    """
    sandbox_port, airflow_port = (port if port and _is_free(port) else free_port() for port in ports)
    with (
        make(dict(plans), port=sandbox_port, gzip=True) as sandbox,
        LocalAirflow(home, dags_folder, port=airflow_port, environment=environment) as airflow,
    ):
        # The UI of Airflow 3.3.2 cannot test a saved connection without a port.
        host = sandbox.url.rpartition(":")[0]
        airflow.add_connection("achieveit_default", "achieveit", host=host, port=sandbox.port, password=sandbox.key)
        yield sandbox, airflow


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
