"""The sandbox as a running server: an HTTP server in a thread of this process."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.sandbox.app import Api
from airflow_provider_achieveit.sandbox.control import control_routes
from airflow_provider_achieveit.sandbox.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from types import TracebackType


class Sandbox(Service):
    """A local AchieveIt API, served from a thread while the context is open.

    Example:
        with Sandbox({"p1": 900}) as sandbox:
            requests.get(f"{sandbox.url}/exports/plans/p1", headers={"Authorization": f"API-KEY {sandbox.key}"})
            sandbox.plan("p1").edit()

    Args:
        plans: Plan ids and how many items to generate for each.
        key: The API key that is accepted.
        host: Where to listen; the sandbox is a toy without any protection, so leave it on loopback.
        port: Where to listen; 0 takes a free port.
        seed: Another seed gives other plans.
        latency: Seconds before each answer.
        max_take: The largest page that is served.
        gzip: Whether to compress for clients that accept it. Off by default: most tests need not pay for it.
        ssl_certfile: Serve HTTPS with this certificate.
        ssl_keyfile: The certificate's key.
    """

    def __init__(
        self,
        plans: Mapping[str, int] | None = None,
        *,
        key: str = DEMO_KEY,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        latency: float = 0.0,
        max_take: int = 1500,
        gzip: bool = False,
        ssl_certfile: str | PathLike[str] | None = None,
        ssl_keyfile: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(key=key, seed=seed, latency=latency, max_take=max_take, gzip=gzip)
        for plan_id, items in (plans or {}).items():
            self.put_plan(plan_id, items)
        self.host = host
        self.port = port
        self._ssl = {"ssl_certfile": ssl_certfile, "ssl_keyfile": ssl_keyfile}
        self._running: tuple[uvicorn.Server, asyncio.AbstractEventLoop, threading.Thread] | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        scheme = "https" if self._ssl["ssl_certfile"] else "http"
        return f"{scheme}://[{self.host}]:{self.port}" if ":" in self.host else f"{scheme}://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen. Requests are taken from the moment this returns.

        Raises:
            OSError: The address is in use or is not this machine's, or a certificate can't be read.
        """
        routes = [Mount("/_sandbox", routes=control_routes(self)), Mount("/", app=Api(self))]
        config = uvicorn.Config(
            Starlette(routes=routes),
            http=_tracking(self.transports),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
            **self._ssl,  # type: ignore[arg-type]
        )
        config.load()
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        server, loop = uvicorn.Server(config), asyncio.new_event_loop()

        def serve() -> None:
            with listener:
                loop.run_until_complete(server.serve(sockets=[listener]))
                loop.close()

        thread = threading.Thread(target=serve, name=f"sandbox-{self.port}", daemon=True)
        thread.start()
        self._running = server, loop, thread

    def stop(self) -> None:
        """Break off every connection and give the port back."""
        if self._running is None:
            return
        server, loop, thread = self._running
        self._running = None

        def end() -> None:
            server.should_exit = True
            # Requests that hang see that their client is gone and end, so nothing has to be waited for.
            for transport in list(self.transports.values()):
                transport.abort()

        loop.call_soon_threadsafe(end)
        thread.join()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    # Not socket.create_server(): it leaves the protocol at 0, and asyncio then doesn't switch off Nagle's algorithm,
    # which costs 40 ms at every response.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _tracking(transports: dict[tuple[str, int], asyncio.Transport]) -> type[asyncio.Protocol]:
    """A web server's HTTP protocol that notes each client's transport: ASGI has no word for a broken connection."""

    class Tracking(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            self.client_address = transport.get_extra_info("peername")[:2]
            transports[self.client_address] = transport
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            transports.pop(self.client_address, None)
            super().connection_lost(error)

    return Tracking
