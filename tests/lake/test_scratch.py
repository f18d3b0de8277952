"""The spool: a temporary directory that no run leaves behind for ever, however it ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from airflow_provider_achieveit.lake.errors import AchieveItScratchError
from airflow_provider_achieveit.lake.scratch import scratch_directory

KILLED = """
import os, signal, sys, tempfile
from airflow_provider_achieveit.lake.errors import AchieveItScratchError
from airflow_provider_achieveit.lake.scratch import scratch_directory
tempfile.tempdir = sys.argv[1]
with scratch_directory() as directory:
    (directory / "plan_items.parquet").write_bytes(b"half")
    print(directory, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_spool_goes_with_whoever_made_it(spools: Path) -> None:
    """With all that is in it, also when an exception is on its way."""
    with scratch_directory() as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_bytes(b"x")
        assert directory.parent == spools
    assert list(spools.iterdir()) == []
    with pytest.raises(FileNotFoundError), scratch_directory() as directory:
        (directory / "no" / "file").write_bytes(b"x")
    assert list(spools.iterdir()) == []


def test_the_spool_of_a_killed_process_goes_with_the_next_run_and_not_before(spools: Path) -> None:
    """As long as its process lives, nobody touches it."""
    command = [sys.executable, "-c", KILLED, str(spools)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(next(spools.iterdir()))
        with scratch_directory():
            assert len(list(spools.iterdir())) == 2
        assert [path.name for path in next(spools.iterdir()).iterdir()] == ["plan_items.parquet"]
        process.communicate("die")
    assert process.returncode == -signal.SIGKILL
    assert len(list(spools.iterdir())) == 1
    with scratch_directory() as directory:
        assert list(spools.iterdir()) == [directory]


def test_runs_of_one_process_leave_each_other_alone(spools: Path) -> None:
    """Threads of a triggerer each have their own spool."""
    inside = threading.Barrier(8)
    seen: list[bool] = []

    def run() -> None:
        with scratch_directory() as directory:
            (directory / "mine").touch()
            inside.wait(30)
            seen.append((directory / "mine").exists())
            inside.wait(30)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 8
    assert list(spools.iterdir()) == []


def test_an_exception_inside_the_clean_up_leaves_nothing_locked(spools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a task's timeout at that moment: the next run, in the same process too, removes what was left."""

    def interrupted(*_: object, **__: object) -> None:
        raise TimeoutError("the task's time is up")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(TimeoutError), scratch_directory():
            pass
    [left] = spools.iterdir()
    with scratch_directory():
        assert not left.exists()


def test_a_temporary_directory_that_cannot_be_written_to_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do about it."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no/such/place")
    with (
        pytest.raises(AchieveItScratchError, match=r"/proc/no/such/place: FileNotFoundError.*TMPDIR"),
        scratch_directory(),
    ):
        pass


def test_only_what_is_ours_is_swept(spools: Path, tmp_path: Path) -> None:
    """Other programs' files, and what a link of our name leads to, stay."""
    (spools / "somebody-elses").mkdir()
    (tmp_path / "precious").touch()
    (spools / "achieveit-spool-link").symlink_to(tmp_path)
    with scratch_directory():
        pass
    assert (spools / "somebody-elses").is_dir()
    assert (tmp_path / "precious").exists()


def test_a_spool_is_for_its_user_alone() -> None:
    """A temporary directory is shared with others; a plan is not."""
    with scratch_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700


def test_descriptors_are_given_back() -> None:
    """A triggerer that looks at a plan for weeks does not run out of them."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with scratch_directory():
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
