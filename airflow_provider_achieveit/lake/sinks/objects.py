"""Whole-object reads and swaps on an fsspec filesystem: readers see all of an object or nothing.

Never through `open(path, "wb")`: fsspec commits when the file is closed, also on the way out of an exception.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import STAGING_PREFIX
from airflow_provider_achieveit.lake.scratch import locked_directory, sweep
from airflow_provider_achieveit.lake.sinks import _uploads
from airflow_provider_achieveit.lake.sinks._local import local_copy, local_state
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState, SwappedMeanwhileError, remote_state

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

#: Bytes that are held in memory while an object is read.
_CHUNK = 8 * 2**20


class Store:
    """A destination.

    Args:
        fs: An fsspec filesystem: local files, S3, GCS or Azure.
        root: The path on it, without protocol; keys are relative to it.
        scheme: The scheme of URIs, where it is not the filesystem's first one (`s3a`).

    Attributes:
        fs: The filesystem.
        scheme: The scheme of URIs; `file` for a local destination.
        is_local: Whether it is one.
    """

    def __init__(self, fs: AbstractFileSystem, root: str, scheme: str | None = None) -> None:
        self.fs = fs
        protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
        self.is_local = "file" in protocols
        self.scheme = scheme or ("file" if self.is_local else protocols[0])
        self._root = str(Path(root).absolute()) if self.is_local else root.strip("/")

    def __str__(self) -> str:
        return self.uri("").rstrip("/")

    def uri(self, key: str) -> str:
        """Return the full URI of a key, without a connection id."""
        return f"{self.scheme}://{self._path(key)}"

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def look(self, key: str) -> ObjectState | None:
        """Return the state of an object, or None if there is none."""
        with self._explained("looking at", key):
            if self.is_local:
                return local_state(Path(self._path(key)))
            self.fs.invalidate_cache()
            info = self._if_there(key, self.fs.info)
            return None if info is None or info.get("type") == "directory" else remote_state(info)

    def read(self, key: str, limit: int = _CHUNK) -> bytes | None:
        """Return the first `limit` bytes of an object, or None if there is none."""
        return self._range(key, 0, limit)

    def sha256(self, key: str) -> str | None:
        """Return the SHA-256 of an object as a reader would get it, or None if there is none."""
        digest = hashlib.sha256()
        found = self._each_chunk(key, digest.update)
        return digest.hexdigest() if found else None

    def download(self, key: str, into: Path) -> str | None:
        """Copy an object to a local file; return its SHA-256, or None if there is no such object."""
        digest = hashlib.sha256()
        with into.open("wb") as file:

            def write(chunk: bytes) -> None:
                digest.update(chunk)
                file.write(chunk)

            found = self._each_chunk(key, write)
        return digest.hexdigest() if found else None

    def _each_chunk(self, key: str, use: Callable[[bytes], object]) -> bool:
        """Pass an object's bytes on, piece by piece; False if there is no such object."""
        start = 0
        while (chunk := self._range(key, start, start + _CHUNK)) is not None:
            use(chunk)
            start += len(chunk)
            if len(chunk) < _CHUNK:
                return True
        return False

    def _range(self, key: str, start: int, end: int) -> bytes | None:
        """Return a part of an object, which may end before `end`, or None if there is no such object."""
        with self._explained("reading", key):
            try:
                return self._if_there(key, lambda path: bytes(self.fs.cat_file(path, start=start, end=end)))
            except Exception:  # of an object that ends before `start`, each store says so in its own way
                state = self.look(key)
                if state is not None and state.size <= start:
                    return b""
                raise

    def _if_there(self, key: str, look: Callable[[str], T]) -> T | None:
        """Look at an object, or return None if there is none."""
        path = self._path(key)
        try:
            return look(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:
            if not _uploads.is_forbidden(error):
                raise
            # For a missing key S3 answers 403, not 404, when the caller may not list the whole bucket.
            self.fs.invalidate_cache()
            with suppress(FileNotFoundError):
                if path in self.fs.ls(path.rpartition("/")[0], detail=False):
                    raise
            return None

    def find(self, prefix: str) -> Iterator[tuple[str, ObjectState]]:
        """Yield the keys below a folder, with their states."""
        with self._explained("listing", prefix):
            self.fs.invalidate_cache()
            found = self._if_there(prefix, lambda path: dict(self.fs.find(path, detail=True))) or {}
        start = len(self._root) + 1
        for path, info in found.items():
            state = local_state(Path(path)) if self.is_local else remote_state(info)
            if state is not None:
                yield path[start:], state

    def staging_folders(self) -> list[str]:
        """Return the names of the folders with copies that are about to be swapped in: local destinations have them."""
        return [path.name for path in Path(self._root).glob(f"{STAGING_PREFIX}*")] if self.is_local else []

    def check(self) -> None:
        """Find out before the work whether there is a place to write to.

        Rights below the root are enough: nothing is asked of the bucket unless the root is empty.

        Raises:
            AchieveItStoreError: The bucket does not exist or is forbidden, or the directory can't be written to.
        """
        with self._explained("looking at", ""):
            if self.is_local:
                parent = next(path for path in (Path(self._root), *Path(self._root).parents) if path.exists())
                if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                    raise PermissionError(f"{parent} is not a writable directory")
                return
            self.fs.invalidate_cache()
            try:
                self.fs.ls(self._root, detail=False)
            except FileNotFoundError:  # nothing has landed yet, or there is no bucket
                self._check_bucket(self._root.split("/", 1)[0])

    def _check_bucket(self, bucket: str) -> None:
        # Without rights on the bucket itself, gcsfs does not find an empty one by `info`.
        for look in (self.fs.info, self.fs.ls):
            try:
                look(bucket)
            except FileNotFoundError:
                continue
            except Exception as error:
                if not _uploads.is_forbidden(error):
                    raise
                # It is there, and the root may be looked at.
            return
        raise FileNotFoundError(f"there is no bucket or container {bucket!r} that this connection can see")

    @contextmanager
    def prepared(self, files: Sequence[tuple[Path, str]]) -> Iterator[list[tuple[Path, str]]]:
        """Bring files to where `swap` takes them from; nothing that readers look at changes yet.

        On a local destination they are all copied to its filesystem, so that a full disk shows before the first swap;
        the copies lie outside the tables' folders, in which some engines read every file.

        Args:
            files: Pairs of a local file and the key that it gets.
        """
        if not self.is_local:
            yield list(files)
            return
        with self._explained("writing", ""):
            Path(self._root).mkdir(parents=True, exist_ok=True)
        with locked_directory(Path(self._root), STAGING_PREFIX) as staging:
            copies = []
            for number, (file, key) in enumerate(files):
                with self._explained("writing", key):
                    copies.append((local_copy(file, staging / str(number), Path(self._path(key))), key))
            yield copies

    def swap(self, file: Path, key: str, expected: ObjectState | None) -> None:
        """Replace an object as a whole, if it still is what it was when it was looked at.

        Args:
            file: A file that `prepared` gave.
            key: The object.
            expected: What `look` returned.

        Raises:
            SwappedMeanwhileError: It is something else by now. S3 and Azure look when the upload ends; before it begins
                it is looked at for GCS and for objects of 100 MB and more on S3, unless the object is a new one.
        """
        if self.look(key) != expected:
            raise SwappedMeanwhileError(key)
        with self._explained("writing", key):
            if self.is_local:
                file.replace(self._path(key))
                return
            condition = _uploads.condition(self.scheme, None if expected is None else expected.token)
            try:
                _uploads.put_file(self.fs, file, self._path(key), **condition)
            except Exception as error:
                if not condition or not _uploads.is_about_the_condition(error):
                    raise
            else:
                return
        if self.look(key) != expected:
            raise SwappedMeanwhileError(key)
        with self._explained("writing", key):  # nothing has changed: this store does not know conditions
            _uploads.put_file(self.fs, file, self._path(key))

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._explained("removing", key), suppress(FileNotFoundError):
            self.fs.rm_file(self._path(key))

    def sweep(self, patterns: Sequence[str]) -> None:
        """Remove what killed exports left; `patterns` are globs below the root.

        Object stores show no unfinished uploads; a lifecycle rule of the bucket ends those.
        """
        if self.is_local:
            for pattern in patterns:
                sweep(Path(self._root).glob(pattern))

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        """Name the object in whatever the filesystem raises."""
        try:
            yield
        except AchieveItError:
            raise
        except Exception as error:  # every store has exceptions of its own
            said = next(iter(str(error).splitlines()), "")  # Azure's go on with the whole answer
            what = f"{doing} {self.uri(key)} failed: {type(error).__name__}: {said}"
            raise AchieveItStoreError(what) from error
