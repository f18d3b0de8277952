"""The sandbox with what only tests need: broken connections, impossible items, TLS, and a log of requests."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_achieveit import sandbox as shipped
from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.sandbox.api import Request
from airflow_provider_achieveit.sandbox.checks import FLAG, ITEM, OBJECT, TEXT, Kind, number, whole
from airflow_provider_achieveit.sandbox.faults import FAULTS, Answer, Fault
from airflow_provider_achieveit.sandbox.server import Traffic
from airflow_provider_achieveit.sandbox.state import POSITION, Row, State, render
from airflow_provider_achieveit.sandbox.web_server import Handler, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from airflow_provider_achieveit.sandbox.generate import Item

BYTES = Kind("text or bytes", lambda value: isinstance(value, (str, bytes)))
NAMES = Kind("a list of names", lambda value: isinstance(value, list))

#: Answers that a server of AchieveIt would not give, and ends of connections.
MORE_FAULTS = {
    "status": whole(200, 999),
    "body": BYTES,
    "body_base64": TEXT,
    "content_type": TEXT,
    "html": FLAG,
    "redirect": TEXT,
    "retry_after_date": number(-(10**8), 10**8),
    "trickle": number(0, 3600),  # seconds after each byte of the body
    "trickle_headers": number(0, 3600),  # seconds after each byte of the head, and of the body
    "truncate": whole(0, 10**9),  # bytes of the body that are sent
    "reset": FLAG,
    "close": FLAG,
}
ANSWERS = {"status", "body", "body_base64", "content_type", "html", "redirect", "retry_after", "retry_after_date"}
WIRE = {"trickle", "trickle_headers", "truncate", "reset", "close"}


def no_answer(fault: Fault) -> bool:
    """Whether the client cannot tell the status."""
    return bool(fault.get("reset") or fault.get("close"))


@dataclass(slots=True)
class LoggedRequest:
    """One request to the API, as it came in. The key itself is not kept."""

    number: int
    method: str
    path: str
    query: str
    plan: str | None
    user_agent: str | None
    accept_encoding: str | None
    has_key: bool
    key_ok: bool
    arrived: float
    fault: Fault
    #: None while it is not answered, and when the connection broke first.
    status: int | None = None
    finished: float | None = None


class OddRow(Row):
    """An item without one of the fields that a position belongs between, with a position of its own, or no JSON."""

    __slots__ = ()

    @classmethod
    def of(cls, item: Item, depth: int, key: Any = None) -> OddRow:
        return cls(item.get("id", key), depth, item.get("lastUpdated"), render(item), b"")

    def at(self, position: bytes) -> tuple[bytes, ...]:
        return (self.head,)

    def changed(self, values: Item) -> OddRow:
        return OddRow.of(values, self.depth, self.key)


class Plan(shipped.Plan):
    """A plan whose items can be made impossible, and that remembers what it was."""

    operations: ClassVar = {
        **shipped.Plan.operations,
        "patch": {"item": ITEM, "remove": NAMES, "fields": OBJECT},
        "replace": {"item": ITEM, "raw": TEXT},
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Every state since `keep_history()`, the one at that moment first.
        self.history: list[State] | None = None

    def keep_history(self) -> list[State]:
        """Start to record each state in `history`, which is also returned."""
        with self._lock:
            self.history = [self.state()]
            return self.history

    def patch(self, item: int | str | None = None, /, *, remove: Iterable[str] = (), **fields: Any) -> Item:
        """Give an item fields and values that the API never should: any name, any JSON value. `lastUpdated` stays.

        An item that loses its id, or whose position is patched, keeps its position, wherever it moves.
        """
        with self._lock:
            index, row = self._find(item)
            touched = {*remove, *fields}
            odd = touched & POSITION or set(remove) & {"id", "sourceId", "planId"}
            values = self.state().item(index) if odd else row.values()
            values = {field: value for field, value in (values | fields).items() if field not in set(remove)}
            return self._put(index, OddRow.of(values, row.depth, row.key) if odd else row.changed(values))

    def replace(self, item: int | str | None, raw: bytes | str, /) -> None:
        """Let an item be these very bytes (or what is base64 of them), JSON or not."""
        body = base64.b64decode(raw) if isinstance(raw, str) else raw
        with self._lock:
            index, row = self._find(item)
            state = self.state()
            odd = OddRow(row.key, row.depth, row.updated, body, b"")
            self._become(State((*state.rows[:index], odd, *state.rows[index + 1 :]), state.positions()))

    def change(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        if operation == "replace":
            self.check(operation, arguments)
            return self.replace(arguments.get("item"), arguments["raw"])
        return super().change(operation, arguments)

    def _become(self, state: State) -> None:
        super()._become(state)
        if self.history is not None:
            self.history.append(state)


class FaultyHandler(Handler):
    """Breaks connections as the script says."""

    def deliver(self, answer: Answer, fault: Fault) -> None:
        if WIRE.isdisjoint(fault):
            super().deliver(answer, fault)
            return
        self.close_connection = True
        head, body = self.head(answer), answer.body[: fault.get("truncate")]
        if no_answer(fault) and "truncate" not in fault:
            head = body = b""
        slow = fault.get("trickle_headers")
        for data, pause in ((head, slow), (body, fault.get("trickle", slow))):
            if pause is None:
                self.wfile.write(data)
                continue
            for byte in data:
                self.wfile.write(bytes((byte,)))
                if self.client_leaves_within(pause):
                    return
        if fault.get("reset"):
            self._reset()

    def _reset(self) -> None:
        self.client_leaves_within(0.02)  # what was sent may arrive first
        # Closing with a linger time of zero sends RST in the place of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


class FaultyServer(HttpServer):
    """Serves HTTPS where it is given a context, and IPv6 where the address is one."""

    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls is not None:
            # Hands are shaken in the connection's own thread, when that first reads.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


class FaultyServer6(FaultyServer):
    address_family = socket.AF_INET6


class Sandbox(shipped.Sandbox):
    """A sandbox that can do what AchieveIt never should.

    Args:
        plans: Plan ids and how many items to generate for each.
        host: `127.0.0.1` or `::1`.
        ssl_certfile: Serve HTTPS with this certificate.
        ssl_keyfile: The certificate's key.
        settings: What `Sandbox` takes.
    """

    faults: ClassVar = {**FAULTS, **MORE_FAULTS}
    plan_type = Plan

    def __init__(
        self,
        plans: Mapping[str, int] | None = None,
        *,
        key: str = DEMO_KEY,
        host: str = "127.0.0.1",
        ssl_certfile: str | PathLike[str] | None = None,
        ssl_keyfile: str | PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        self._log: list[LoggedRequest] = []
        self._under_way: dict[Request, LoggedRequest] = {}
        self._arrival = threading.Lock()
        super().__init__(plans, key=key, **settings)
        self.host = host
        self._certificate = (ssl_certfile, ssl_keyfile) if ssl_certfile else None
        #: Called in the server's thread just before the n-th request since the last reset is answered, with n.
        self.before_request: Callable[[int], None] | None = None

    @property
    def url(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._certificate else 'http'}://{name}:{self.port}"

    @property
    def transports(self) -> set[tuple[Any, ...]]:
        """The addresses of the clients that are connected."""
        addresses = set()
        for connection in list(self._server.connections if self._server else ()):
            with suppress(OSError):  # it has ended meanwhile
                addresses.add(connection.getpeername())
        return addresses

    def wait_until_idle(self) -> None:
        """Return when all has been dealt with that clients sent before they left: nothing of it comes later."""
        assert self._server is not None
        connections, end = self._server.connections, time.monotonic() + 30
        with socket.socket() as last:
            last.connect((self.host, self.port))  # is accepted after all who came before
            while last.getsockname() not in self.transports:
                assert time.monotonic() < end
                time.sleep(0.001)
        while any(_has_more(connection) for connection in list(connections)):
            assert time.monotonic() < end
            time.sleep(0.001)

    @property
    def requests(self) -> list[LoggedRequest]:
        """The requests since the last reset, except those to the control endpoints."""
        return list(self._log)

    def reset_requests(self) -> None:
        super().reset_requests()
        self._log = []

    def traffic(self, plan_id: str | None = None) -> Traffic:
        """Count the requests since the last reset, or those for one plan."""
        requests = [request for request in self.requests if plan_id in (None, request.plan)]
        steps = [(request.arrived, 1) for request in requests]
        steps += [(request.finished, -1) for request in requests if request.finished is not None]
        in_flight = [0, *accumulate(step for _, step in sorted(steps))]
        return Traffic(len(requests), in_flight[-1], max(in_flight))

    def arrive(self, request: Request) -> Fault:
        headers = request.headers
        with self._arrival:
            logged = LoggedRequest(
                number=len(self._log) + 1,
                method=request.method,
                path=request.path,
                query=request.query,
                plan=request.plan,
                user_agent=headers.get("User-Agent"),
                accept_encoding=headers.get("Accept-Encoding"),
                has_key="Authorization" in headers,
                key_ok=headers.get("Authorization") == f"API-KEY {self.key}",
                arrived=time.monotonic(),
                fault=super().arrive(request),
            )
            self._log.append(logged)
            self._under_way[request] = logged
        return logged.fault

    def leave(self, request: Request, answer: Answer | None) -> None:
        super().leave(request, answer)
        logged = self._under_way.pop(request)
        logged.status = answer.status if answer and not no_answer(logged.fault) else None
        logged.finished = time.monotonic()

    def before_answer(self, request: Request, fault: Fault) -> None:
        super().before_answer(request, fault)
        if self.before_request is not None:
            self.before_request(self._under_way[request].number)

    def answer(self, request: Request, fault: Fault) -> Answer:
        answer = super().answer(request, {name: value for name, value in fault.items() if name not in ANSWERS})
        return answer if ANSWERS.isdisjoint(fault) else _faulty_answer(fault)

    def _make_server(self) -> HttpServer:
        server = (FaultyServer6 if ":" in self.host else FaultyServer)(self, (self.host, self.port), FaultyHandler)
        if self._certificate:
            try:
                server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                server.tls.load_cert_chain(*self._certificate)
            except OSError:
                server.server_close()
                raise
        return server


def _faulty_answer(fault: Fault) -> Answer:
    body = fault.get("body", base64.b64decode(fault.get("body_base64", "")))
    answer = Answer(fault.get("status", 200), body.encode() if isinstance(body, str) else body)
    if fault.get("html"):
        answer.body = b"<!DOCTYPE html>\n<html><body><h1>We will be right back</h1></body></html>\n"
        answer.content_type = "text/html; charset=utf-8"
    if "content_type" in fault:
        answer.content_type = str(fault["content_type"])
    if "redirect" in fault:
        answer.status = fault.get("status", 302)
        answer.headers.append(("location", str(fault["redirect"])))
    if "retry_after" in fault:
        answer.headers.append(("retry-after", str(fault["retry_after"])))
    if "retry_after_date" in fault:
        answer.headers.append(("retry-after", formatdate(time.time() + fault["retry_after_date"], usegmt=True)))
    return answer


def _has_more(connection: socket.socket) -> bool:
    """Whether there is something to read from a connection, or its client has left."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:  # nothing yet, or it has ended here as well
        return False
    return True
