"""What a trigger asks the supervisor, over the real protocol of each Airflow 3, with a supervisor that is slow."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_provider_achieveit._compat import AIRFLOW_VERSION, BaseHook
from airflow_provider_achieveit.triggers._clients import in_thread

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 has no supervisor"),
    pytest.mark.timeout(120),  # who reads an answer of somebody else may wait for ever
]

#: Long enough that questions overlap.
ANSWERS_AFTER = 0.1


def _answer(end: socket.socket) -> None:
    """Answer one question after the other, as the supervisor does."""
    from airflow.sdk.execution_time.comms import _RequestFrame, _ResponseFrame
    from msgspec import msgpack

    decoder = msgpack.Decoder(_RequestFrame)
    with end, end.makefile("rb") as stream:
        while length := stream.read(4):
            question = decoder.decode(stream.read(int.from_bytes(length, "big")))
            threading.Event().wait(ANSWERS_AFTER)
            body = None
            if question.body["type"] == "GetConnection":
                body = {"type": "ConnectionResult", "conn_id": question.body["conn_id"], "conn_type": "achieveit"}
                body |= dict.fromkeys(["host", "schema", "login", "password", "port", "extra"])
            end.sendall(_ResponseFrame(id=question.id, body=body, error=None).as_bytes())


@asynccontextmanager
async def supervised(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Let this process ask a supervisor, as the triggerer's does."""
    from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
    from airflow.sdk.execution_time import task_runner

    ours, theirs = socket.socketpair()
    supervisor = threading.Thread(target=_answer, args=[theirs], daemon=True)
    supervisor.start()
    reader, writer = await asyncio.open_connection(sock=ours)
    comms = TriggerCommsDecoder(socket=ours, async_reader=reader, async_writer=writer)
    if AIRFLOW_VERSION >= (3, 2):
        await comms.start_reader()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    yield comms
    if AIRFLOW_VERSION >= (3, 2):
        comms._reader_task.cancel()
    writer.close()
    await asyncio.to_thread(supervisor.join)


def _ask(conn_id: str) -> str:
    return str(BaseHook.get_connection(conn_id).conn_id)


def test_many_at_once_get_their_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that ask at the same time do not take each other's answers."""

    async def ask() -> list[str]:
        async with supervised(monkeypatch):
            return await asyncio.gather(*(in_thread(lambda n=n: _ask(f"conn_{n}")) for n in range(5)))

    assert asyncio.run(ask()) == [f"conn_{n}" for n in range(5)]


def test_a_cancelled_question_does_not_spoil_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that is cancelled while its connection is resolved leaves no answer behind for others."""

    async def ask() -> str:
        async with supervised(monkeypatch):
            given_up = asyncio.create_task(in_thread(lambda: _ask("given_up")))
            await asyncio.sleep(ANSWERS_AFTER / 2)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            return await in_thread(lambda: _ask("next"))

    assert asyncio.run(ask()) == "next"
