"""An API that answers plan requests as a test wants it to, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Query:
    """What a request asks for."""

    skip: int
    take: int
    sort_key: str
    descending: bool

    def of(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The window of the items, sorted as asked for; items with equal values stay in their order."""
        ordered = sorted(items, key=lambda item: str(item.get(self.sort_key) or ""), reverse=self.descending)
        return ordered[self.skip : self.skip + self.take]


#: Gives the items and `totalCount` of a page.
Answer = Callable[[Query], tuple[list[dict[str, Any]], int]]


@dataclass
class OddApi:
    """The server's address and what it was asked for."""

    url: str = ""
    queries: list[Query] = field(default_factory=list)


@contextmanager
def odd_api(answer: Answer) -> Iterator[OddApi]:
    """Serve what `answer` gives."""
    api = OddApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            given = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            query = Query(int(given["skip"]), int(given["take"]), given["sortKey"], given["sortDirection"] == "desc")
            api.queries.append(query)
            items, total = answer(query)
            body = json.dumps({"items": items, "totalCount": total}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
