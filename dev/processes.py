"""Programs that run beside this one, and that are gone when it is, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType

import psutil

# Whatever has not stopped by itself after this many seconds is killed.
GRACE = 15.0


class ProcessDiedError(RuntimeError):
    """A program ended by itself that should have gone on."""


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment for a child that must not see the caller's own Airflow.

    Args:
        **more: Variables to add.

    Returns:
        The environment, with the programs of this virtual environment first on the path.
    """
    environment = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    # A proxy that the caller needs for other hosts must not see what goes to this machine.
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1", "localhost"]))
    return environment | more


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def exit_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process like Ctrl-C: by an exception that unwinds what is open."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) is signal.SIG_DFL:
                signal.signal(name, leave)


class Process:
    """One program that runs in the background, in a session of its own, so that Ctrl-C reaches only its starter."""

    def __init__(self, name: str, command: list[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
        """Describe the program; `start` starts it.

        Args:
            name: What to call it in messages.
            command: The program and its arguments.
            log: The file that takes its output.
            env: Its environment.
            cwd: The folder that it runs in.
        """
        self.name = name
        self.log = log
        self.started_at = 0.0
        self._command = command
        self._env = env
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.started_at = time.time()
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self._env),
                cwd=self._cwd,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the program is there."""
        return self._popen is not None and self._popen.poll() is None

    def check(self) -> None:
        """Raise ProcessDiedError with the end of the log if the program was started and ended by itself."""
        if self._popen is not None and (code := self._popen.poll()) is not None:
            raise ProcessDiedError(f"{self.name} ended with exit code {code}:\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of the program's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> None:
        """Stop the program and everything that it started, and wait until they are gone."""
        stop_all([self])

    def family(self) -> list[psutil.Process]:
        """Return the program and everything that it started."""
        try:
            program = psutil.Process(self._popen.pid) if self._popen is not None else None
            return [program, *program.children(recursive=True)] if program else []
        except psutil.NoSuchProcess:
            return []

    def terminate(self) -> None:
        """Ask the program to stop, without waiting."""
        if self.running and self._popen is not None:
            self._popen.terminate()

    def forget(self) -> None:
        """Take note that the program is gone."""
        if self._popen is not None:
            self._popen.wait()
            self._popen = None


def stop_all(processes: Iterable[Process]) -> None:
    """Stop programs at the same time: ask them, and kill what is left of them and their children after a while.

    Args:
        processes: The programs. Those that do not run are passed over.
    """
    processes = [process for process in processes if process.family()]
    # A child whose parent has ended can no longer be found, so all are looked up before.
    family = {member for process in processes for member in process.family()}
    for process in processes:
        process.terminate()
    _, alive = psutil.wait_procs(family, timeout=GRACE)
    kill(alive)
    for process in processes:
        process.forget()


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    processes = list(processes)
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=GRACE)


def sweep(folder: Path) -> None:
    """Kill the Pythons that run in a folder: what a starter left behind that was killed itself.

    Args:
        folder: A folder that nothing but our own programs runs in.
    """
    left = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder.resolve() and Path(process.exe()).name.startswith("python"):
                left.append(process)
        except (psutil.Error, OSError):
            continue
    kill(left)
