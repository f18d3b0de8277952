"""Where snapshots land: an fsspec filesystem and a path on it, written so that readers see all of an object or nothing.

Never through `open(path, "wb")`: fsspec commits when the file is closed, also on the way out of an exception.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.scratch import sha256, sweep, try_lock

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")


class Store:
    """A destination.

    Args:
        fs: An fsspec filesystem: local files, S3, GCS, Azure or another one.
        root: The path on it, without protocol; keys are relative to it.
    """

    def __init__(self, fs: AbstractFileSystem, root: str) -> None:
        self._fs = fs
        protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
        self._local = "file" in protocols
        self._root = str(Path(root).absolute()) if self._local else root.rstrip("/")

    def __str__(self) -> str:
        return self.uri("").rstrip("/")

    def uri(self, key: str) -> str:
        """Return the full URI of a key, without a connection id."""
        return str(self._fs.unstrip_protocol(self._path(key)))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if there is none."""
        with self._explained("reading", key):
            return self._if_there(key, lambda path: bytes(self._fs.cat_file(path)))

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, or None if there is none."""
        with self._explained("looking at", key):
            self._fs.invalidate_cache()
            return self._if_there(key, lambda path: int(self._fs.info(path)["size"]))

    def sha256(self, key: str, scratch: Path) -> str | None:
        """Return the SHA-256 of an object as a reader would get it, or None if there is none.

        Args:
            key: The object.
            scratch: A local path to download it to.
        """

        def digest(path: str) -> str:
            if self._local:
                return sha256(Path(path))
            self._fs.get_file(path, str(scratch))
            found = sha256(scratch)
            scratch.unlink()
            return found

        with self._explained("reading", key):
            return self._if_there(key, digest)

    def _if_there(self, key: str, look: Callable[[str], T]) -> T | None:
        """Look at an object, or return None if there is none."""
        path = self._path(key)
        try:
            return look(path)
        except FileNotFoundError:
            return None
        except PermissionError:
            # Of an object that is not there, S3 says this to whom may list only a part of the bucket.
            self._fs.invalidate_cache()
            with suppress(FileNotFoundError):
                if path in self._fs.ls(path.rpartition("/")[0], detail=False):
                    raise
            return None

    def check(self) -> None:
        """Find out before the work whether there is a place to write to.

        Rights below the root are enough: nothing is asked of the bucket unless the root is empty.

        Raises:
            AchieveItStoreError: The bucket does not exist or is forbidden, or the directory can't be written to.
        """
        with self._explained("looking at", ""):
            if self._local:
                parent = next(path for path in (Path(self._root), *Path(self._root).parents) if path.exists())
                if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                    raise PermissionError(f"{parent} is no directory that can be written to")
                return
            self._fs.invalidate_cache()
            try:
                self._fs.ls(self._root, detail=False)
            except FileNotFoundError:  # nothing has landed yet, or there is no bucket
                self._check_bucket(self._root.split("/", 1)[0])

    def _check_bucket(self, bucket: str) -> None:
        # Without rights on the bucket itself, gcsfs does not find an empty one by `info`.
        for look in (self._fs.info, self._fs.ls):
            try:
                look(bucket)
            except FileNotFoundError:
                continue
            except PermissionError:
                pass  # it is there, and the root may be looked at
            return
        raise FileNotFoundError(f"there is no bucket or container {bucket!r} that this connection can see")

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """Swap objects in, each whole, in the order given.

        Locally all of them are copied beside their targets first, so that a full disk shows before the first swap.

        Args:
            files: Pairs of a local file and the key that it gets.
        """
        if self._local:
            self._publish_locally(files)
            return
        for local, key in files:
            with self._explained("writing", key):
                self._fs.put_file(str(local), self._path(key))

    def _publish_locally(self, files: Sequence[tuple[Path, str]]) -> None:
        with ExitStack() as stack:
            swaps = []
            for local, key in files:
                with self._explained("writing", key):
                    target = Path(self._path(key))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    swaps.append((stack.enter_context(_sibling(local, target)), target, key))
            for staged, target, key in swaps:
                with self._explained("writing", key):
                    staged.replace(target)

    def sweep(self, pattern: str) -> None:
        """Remove what killed runs left beside their targets; `pattern` is a glob of directories below the root.

        Object stores show no unfinished uploads; a lifecycle rule of the bucket ends those.
        """
        if self._local:
            sweep(Path(self._root).glob(f"{pattern}/.*.achieveit-tmp"))

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        """Name the object in whatever the filesystem raises."""
        try:
            yield
        except AchieveItError:
            raise
        except Exception as error:  # every store has exceptions of its own
            what = f"{doing} {self.uri(key)} failed: {type(error).__name__}: {error}"
            raise AchieveItStoreError(what) from error


@contextmanager
def _sibling(local: Path, target: Path) -> Iterator[Path]:
    """Copy a file beside its target, under a name that readers skip, and remove the copy unless it was moved."""
    staged, lock = _locked_sibling(target)
    try:
        shutil.copyfile(local, staged)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        yield staged
    finally:
        staged.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _locked_sibling(target: Path) -> tuple[Path, int | None]:
    while True:
        staged = target.with_name(f".{target.name}.{token_hex(4)}.achieveit-tmp")
        staged.touch(exist_ok=False)
        try:
            lock = try_lock(staged)
        except OSError:
            return staged, None  # a filesystem without locks, where nobody sweeps either
        if lock is not None:
            return staged, lock
