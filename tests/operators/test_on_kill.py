"""A task that is marked failed or cleared: Airflow calls `on_kill` from a signal handler, and the export ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.errors import AchieveItServerError
from airflow_provider_achieveit.lake.layout import FORMAT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores, S3Stores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

#: Without `on_kill`, each of these would keep an export busy for minutes.
HELD = {
    "an answer that does not come": {"hang": 240},
    "an answer that trickles": {"trickle": 0.5},
    "a pause that the server asked for": {"status": 429, "retry_after": 240},
}


@pytest.mark.parametrize("held", HELD)
def test_a_killed_export_ends_soon_and_publishes_nothing(
    export: Export, lake: LocalStores, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Whatever it waits for; the handler runs in the very thread that waits."""
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    fault: dict[str, Any] = HELD[held]
    sandbox.script({"fault": fault})
    operator = export()

    def kill_when_it_waits() -> None:
        while not sandbox.requests:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: operator.on_kill())
    killer = threading.Thread(target=kill_when_it_waits)
    killer.start()
    started = time.monotonic()
    try:
        with pytest.raises(AchieveItServerError, match="the client was closed"):
            operator.execute({})
    finally:
        signal.signal(signal.SIGUSR1, before)
        killer.join()
    assert time.monotonic() - started < 60
    assert lake.objects() == {}


def test_a_task_that_is_killed_before_it_has_begun_has_nothing_to_end(export: Export) -> None:
    """Airflow may call it at any time."""
    export().on_kill()


def test_a_killed_export_does_not_begin_to_publish(export: Export, s3: S3Stores) -> None:
    """What was read in vain stays in the temporary directory, and the lake is what it was."""
    operator = export(destination=s3.uri, destination_conn_id="aws_lake")

    def kill_before_the_first_swap(_: int) -> bool:
        client = operator._client
        operator.on_kill()
        assert client is not None
        while not client.cancellation.cancelled:
            time.sleep(0.01)
        return False

    s3.before_write = kill_before_the_first_swap
    with pytest.raises(AchieveItServerError, match="the client was closed"):
        operator.execute({})
    assert set(s3.objects()) == {FORMAT_KEY}, "the note of the table format is written before"
