"""Stores to publish to: local files, and S3 and GCS as servers on loopback whose writes a test can refuse or hold.

What lies in a store is read without the code under test: from the disk, from the servers' own memory, or by boto.
"""

import os

# gcsfs would ask the real service over gRPC which kind of bucket this is.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import boto3
import gcsfs
import pytest
import requests
import s3fs
from fsspec.implementations.local import LocalFileSystem
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response

from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from tests.support.forward import HEADERS
from tests.support.servers import SERVERS

BUCKET = "lake-bucket"
ROOT = f"{BUCKET}/some/where"
#: The kinds of stores behind HTTP, and all kinds: with real servers, those that have one.
REMOTE = ("s3", "gcs") if SERVERS is None else ("s3", "azure")
#: Those that an Airflow connection of these tests leads to, and that look at conditions themselves.
CONNECTED = tuple(kind for kind in REMOTE if kind != "gcs")
EVERY = ("files", *REMOTE) if SERVERS is None else REMOTE


class Stores:
    """One kind of store, with one destination."""

    #: The destination as users write it.
    uri: str

    def store(self) -> Store:
        """A new `Store` of the destination, as another process would have it."""
        raise NotImplementedError

    def sink(self) -> ParquetSink:
        """A new Parquet sink of the destination."""
        return ParquetSink(self.store())

    def objects(self) -> dict[str, bytes]:
        """Everything that lies under the destination, temporary files too."""
        raise NotImplementedError

    def put(self, key: str, body: bytes | None) -> None:
        """Change, or with None remove, an object behind everyone's back."""
        raise NotImplementedError


class LocalStores(Stores):
    """A directory, which does not exist at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"file://{root}"

    def store(self) -> Store:
        return Store(LocalFileSystem(), str(self.root))

    def objects(self) -> dict[str, bytes]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def put(self, key: str, body: bytes | None) -> None:
        if body is None:
            (self.root / key).unlink()
        else:
            (self.root / key).parent.mkdir(parents=True, exist_ok=True)
            (self.root / key).write_bytes(body)


class RemoteStores(Stores, AbstractContextManager["RemoteStores"]):
    """A server on loopback.

    Attributes:
        writes: How many requests to change something came in since `empty`.
        targets: The different ones among them: to a store that does not know a condition, one is sent twice.
        before_write: Called with that number before such a request is looked at; True refuses it.
        conditions: Whether requests with conditions are known; else they are refused.
        write_only: Whether the credentials may write and list what lies under the destination, and not read it.
        narrow: Whether the credentials have rights on what lies under the destination, and on nothing else.
    """

    _server: ThreadingHTTPServer | BaseWSGIServer
    #: The secret of its credentials.
    secret: str
    narrow = False
    conditions = True
    write_only = False

    def __enter__(self) -> Any:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection to it."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def empty(self) -> None:
        self.writes, self.targets = 0, set[str]()
        self.before_write: Callable[[int], bool] | None = None
        self.narrow = self.write_only = False
        for key in self.objects():
            self.put(key, None)

    def _refused(self, request: str) -> bool:
        self.writes += 1
        self.targets.add(request)
        return self.before_write is not None and self.before_write(self.writes)


class GatedStores(RemoteStores):
    """A server behind a gate, through which every request goes.

    Args:
        application: The server: a simulator in this process, or a `Forward` to a real one.
    """

    def __init__(self, application: WSGIApplication) -> None:
        class Handler(MotoRequestHandler):
            def make_environ(self) -> WSGIEnvironment:
                return {**super().make_environ(), HEADERS: self.headers.items()}

            def log_request(self, *_: object) -> None:
                pass

        self.signers: set[str] = set()
        self._open, self._idle = 0, threading.Condition()
        self._application = application
        self._server = make_server("127.0.0.1", 0, self._gate, threaded=True, request_handler=Handler)

    def _gate(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        signer = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        self.signers.add("" if signer is None else signer[1])
        with self._idle:
            self._open += 1
        try:
            refused = self._refusal(environ)
            if refused is None:
                return self._answered(environ, start_response)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return refused(environ, start_response)
        finally:
            with self._idle:
                self._open -= 1
                self._idle.notify_all()

    def wait_until_idle(self) -> None:
        """Return when no request is under way."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._open == 0, 30)

    def is_ours(self, environ: WSGIEnvironment) -> bool:
        """Whether a request is about an object under the destination."""
        return f"/{ROOT}/" in environ["PATH_INFO"]

    def error(self, status: int, code: str) -> Response:
        """An answer as this store words it."""
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Access Denied</Message></Error>"
        return Response(body, status, content_type="application/xml", headers={"x-ms-error-code": code})

    def _refusal(self, environ: WSGIEnvironment) -> Response | None:
        if not self.conditions and ("HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ):
            return self.error(501, "NotImplemented")
        if (
            self.is_ours(environ)
            and environ["REQUEST_METHOD"] in ("PUT", "POST")
            and self._refused(environ["REQUEST_URI"])
        ):
            return self.error(403, "AccessDenied")
        return None

    def _answered(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._application(environ, start_response)


class S3Stores(GatedStores):
    """S3 as moto plays it, or what another server makes of it.

    Args:
        application: The server; moto unless another one is given.
        key: An access key that it knows; moto knows all.
        secret: The secret of that key.
    """

    uri = f"s3://{ROOT}"

    def __init__(
        self, application: WSGIApplication | None = None, key: str = "test-access", secret: str = "test-secret"
    ) -> None:
        super().__init__(application or DomainDispatcherApplication(create_backend_app))
        self.key, self.secret = key, secret
        self.options = {
            "key": key,
            "secret": secret,
            "endpoint_url": self.endpoint,
            "client_kwargs": {"region_name": "us-east-1"},
        }

    def __enter__(self) -> Any:
        super().__enter__()
        self.boto = boto3.client(
            "s3",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
        )
        self.boto.create_bucket(Bucket=BUCKET)
        return self

    @property
    def connection(self) -> dict[str, Any]:
        extra = {"endpoint_url": self.endpoint, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": self.key, "password": self.secret, "extra": extra}

    def is_ours(self, environ: WSGIEnvironment) -> bool:
        return environ["PATH_INFO"].startswith(f"/{ROOT}/")

    def _refusal(self, environ: WSGIEnvironment) -> Response | None:
        if self.is_ours(environ) and self.write_only and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self.error(403, "AccessDenied")
        return super()._refusal(environ)

    def _answered(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self.narrow:
            return super()._answered(environ, start_response)
        lists_ours = f"prefix={quote(ROOT.partition('/')[2], safe='')}%2F" in environ["QUERY_STRING"]
        answer = Response.from_app(self._application, environ, buffered=True)
        # S3 keeps from such a role what is not there.
        allowed = (self.is_ours(environ) or lists_ours) and answer.status_code != 404
        return (answer if allowed else self.error(403, "AccessDenied"))(environ, start_response)

    def store(self) -> Store:
        return Store(s3fs.S3FileSystem(skip_instance_cache=True, **self.options), ROOT)

    def objects(self) -> dict[str, bytes]:
        listed = self.boto.list_objects_v2(Bucket=BUCKET, Prefix=f"{ROOT}/".partition("/")[2]).get("Contents", [])
        return {
            f"{BUCKET}/{entry['Key']}".removeprefix(f"{ROOT}/"): self.boto.get_object(Bucket=BUCKET, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listed
        }

    def open_uploads(self) -> list[str]:
        """Keys of uploads in parts that were neither completed nor aborted."""
        return [upload["Key"] for upload in self.boto.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def put(self, key: str, body: bytes | None) -> None:
        bucket, _, name = f"{ROOT}/{key}".partition("/")
        before_write, self.before_write = self.before_write, None
        if body is None:
            self.boto.delete_object(Bucket=bucket, Key=name)
        else:
            self.boto.put_object(Bucket=bucket, Key=name, Body=body)
        self.before_write = before_write


class GcsStores(RemoteStores):
    """Google Cloud Storage as gcp-storage-emulator plays it."""

    uri = f"gs://{ROOT}"

    def __init__(self) -> None:
        stores, lock = self, threading.Lock()  # the emulator's own server has one thread

        class Handler(RequestHandler):  # type: ignore[misc]
            def do_GET(self) -> None:  # noqa: N802 - the base class's name
                if stores.narrow and self.path.partition("?")[0].endswith(f"/b/{BUCKET}"):
                    self.send_error(403)
                    return
                with lock:
                    super().do_GET()

            def do_POST(self) -> None:  # noqa: N802 - the base class's name
                if stores._refused(f"{self.path} {stores.writes}"):
                    self.rfile.read(int(self.headers["Content-Length"] or 0))
                    self.send_error(403)
                else:
                    with lock:
                        super().do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self._storage = Storage(use_memory_fs=True)
        create_bucket(BUCKET, self._storage)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self._storage))

    def store(self) -> Store:
        fs = gcsfs.GCSFileSystem(endpoint_url=self.endpoint, token="anon", project="test", skip_instance_cache=True)
        return Store(fs, ROOT)

    def objects(self) -> dict[str, bytes]:
        prefix = f"{ROOT}/".partition("/")[2]
        entries, _ = self._storage.get_file_list(BUCKET, prefix, None)
        return {entry["name"].removeprefix(prefix): self._storage.get_file(BUCKET, entry["name"]) for entry in entries}

    def put(self, key: str, body: bytes | None) -> None:
        name = f"{ROOT}/{key}".partition("/")[2]
        if body is None:
            self._storage.delete_file(BUCKET, name)
        else:
            before_write, self.before_write = self.before_write, None
            url = f"{self.endpoint}/upload/storage/v1/b/{BUCKET}/o"
            requests.post(url, params={"uploadType": "media", "name": name}, data=body, timeout=30).raise_for_status()
            self.before_write = before_write


def empty_stores(request: pytest.FixtureRequest) -> Stores:
    """The store of the kind that a fixture is asked for, without any object."""
    if request.param == "files":
        return LocalStores(request.getfixturevalue("tmp_path") / "lake")
    stores: RemoteStores = request.getfixturevalue(f"running_{request.param}")
    stores.empty()
    return stores
