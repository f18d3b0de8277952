"""Real stores on loopback, as programs of other projects: `make test-stores` unpacks them where `SERVERS` says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import requests

from dev import debian
from dev.processes import Process, clean_environment, free_port, stop_all

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The folder of the unpacked servers; None where tests have to do with simulators that Python brings.
SERVERS = Path(os.environ["ACHIEVEIT_SERVERS"]) if "ACHIEVEIT_SERVERS" in os.environ else None
#: Tests have temporary directories of their own, in which nothing may be left.
SYSTEM_TEMP = tempfile.gettempdir()
#: Only against hangs.
START_TIMEOUT = 180.0


class Server(AbstractContextManager["Server"]):
    """Programs that run in a temporary folder of their own until the context ends.

    Attributes:
        port: Where the store listens on the loopback interface.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        assert SERVERS is not None, "ACHIEVEIT_SERVERS is not set: run `make test-stores`"
        self.unpacked = SERVERS / self.name
        self.port = free_port()
        self.programs: list[Process] = []

    def start(self) -> None:
        """Start all programs."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=SYSTEM_TEMP))
        try:
            self.start()
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stop_all(self.programs)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a program."""
        log = self.folder / f"{name}.log"
        program = Process(name, command, log=log, env=clean_environment(**(environment or {})), cwd=self.folder)
        self.programs.append(program)
        program.start()

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT
        while not self._answers():
            for program in self.programs:
                program.check()
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} did not answer in {START_TIMEOUT:.0f} s:\n{self.programs[-1].tail()}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        with requests.Session() as session, suppress(requests.ConnectionError):
            session.trust_env = False
            session.get(f"http://127.0.0.1:{self.port}/", timeout=10)
            return True
        return False


class Azurite(Server):
    """Microsoft's own emulator of Azure Blob Storage, with its blobs on disk."""

    name = "azurite"
    account = "devstoreaccount1"
    #: Public: every Azurite has this account with this key.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def start(self) -> None:
        program = self.unpacked / "node_modules/.bin/azurite-blob"
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.folder)]
        self.run("azurite", [str(program), *options, "--skipApiVersionCheck", "--disableTelemetry", "--silent"])


class Ceph(Server):
    """Ceph's S3 gateway, on one monitor and one disk, which is a file. Its user has two keys with one secret."""

    name = "ceph"
    key, second_key, secret = "test-access", "test-rotated", "test-secret"

    def start(self) -> None:
        self._environment = debian.environment(self.unpacked) | {"CEPH_CONF": str(self.folder / "ceph.conf")}
        monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
        cluster, disk = str(uuid4()), str(uuid4())
        self._write_settings(cluster, monitor)
        keyring = str(self.folder / "keyring")
        self._call("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", *_rights(mon="allow *"))
        everything = _rights(mon="allow *", osd="allow *", mgr="allow *")
        self._call("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *everything)
        self._call(
            "ceph-authtool", keyring, "--gen-key", "-n", "client.rgw", *_rights(mon="allow rwx", osd="allow rwx")
        )
        osd = _rights(mon="allow profile osd", osd="allow *")
        self._call("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", *osd)
        monmap = str(self.folder / "monmap")
        self._call("monmaptool", "--create", "--fsid", cluster, "--addv", "a", monitor, monmap)
        self._call("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self.run("mon", ["ceph-mon", "-i", "a", "-f"], self._environment)
        ceph = ["/usr/bin/python3", str(self.unpacked / "usr/bin/ceph"), "--connect-timeout", "60"]
        self._call(*ceph, "osd", "new", disk)
        self._call(*ceph, "auth", "import", "-i", keyring)
        self._call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self.run("osd", ["ceph-osd", "-i", "0", "-f"], self._environment)
        self.run("rgw", ["radosgw", "-n", "client.rgw", "-f"], self._environment)

    def _wait_until_it_answers(self) -> None:
        super()._wait_until_it_answers()
        # The gateway knows nobody yet.
        admin, secret = ("radosgw-admin", "-n", "client.rgw"), f"--secret={self.secret}"
        self._call(*admin, "user", "create", "--uid=t", "--display-name=t", f"--access-key={self.key}", secret)
        self._call(*admin, "key", "create", "--uid=t", f"--access-key={self.second_key}", secret)

    def _call(self, *command: str) -> None:
        environment = clean_environment(**self._environment)
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"

    def _write_settings(self, cluster: str, monitor: str) -> None:
        for name in ("mon", "osd", "run"):
            (self.folder / name).mkdir()
        libraries = next(self.unpacked.resolve().glob("usr/lib/*/ceph"))
        settings = CEPH_SETTINGS.format(
            folder=self.folder,
            libraries=libraries,
            classes=libraries.with_name("rados-classes"),
            cluster=cluster,
            monitor=monitor,
            port=self.port,
        )
        (self.folder / "ceph.conf").write_text(settings)


class Postgres(Server):
    """A database server with the database `postgres` of the user `airflow`, who needs no password."""

    name = "cluster"

    @property
    def address(self) -> str:
        """Its address for SQLAlchemy."""
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        environment = debian.environment(self.unpacked)
        # It refuses to run as root.
        somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        if somebody:
            os.chown(self.folder, 65534, 65534)
        data = str(self.folder / "data")
        make = [*somebody, "initdb", "-D", data, "-U", "airflow", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        subprocess.run(make, env=clean_environment(**environment), check=True, capture_output=True, cwd=self.folder)
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        self.run("postgres", [*somebody, "postgres", "-D", data, *options], environment)

    def _answers(self) -> bool:
        return _accepts(self.port)


class Redis(Server):
    """A broker in memory."""

    name = "cluster"

    @property
    def address(self) -> str:
        """Its address for Celery."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.run("redis", command, debian.environment(self.unpacked))

    def _answers(self) -> bool:
        return _accepts(self.port)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class IcebergRest(Server):
    """An Iceberg REST catalog, of which `tests.support.iceberg_rest` tells."""

    name = "iceberg"

    @property
    def url(self) -> str:
        """Where the catalog is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = Path(__file__).with_name("iceberg_rest.py")
        jars = [str(self.unpacked / "usr/share/java" / name) for name in ("slf4j-api.jar", "slf4j-nop.jar")]
        self.run("iceberg-rest", [sys.executable, str(program), str(self.port), *jars])


def _rights(**rights: str) -> list[str]:
    """Return the options that give a key its rights."""
    return [part for service, right in rights.items() for part in ("--cap", service, right)]


#: One of everything, and no second copy of anything; nothing listens on more than the loopback interface.
CEPH_SETTINGS = """
[global]
fsid = {cluster}
mon host = {monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/$name.log
crash dir = {folder}/run
plugin dir = {libraries}
erasure code dir = {libraries}/erasure-code
osd class dir = {classes}
[mon]
mon data = {folder}/mon
mon max pg per osd = 2000
mon data avail crit = 1
[osd]
osd data = {folder}/osd
bluestore block size = 8589934592
bluestore fsck on mount = false
osd memory target = 939524096
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw enable usage log = false
rgw thread pool size = 64
"""
