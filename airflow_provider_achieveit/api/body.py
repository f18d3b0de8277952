"""The bodies of answers: bounded while they are read, each and all of a client together."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_achieveit.api.errors import AchieveItMalformedError, AchieveItTooLargeError
from airflow_provider_achieveit.api.validate import shown

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse  # which urllib3 1.26 does not have

_MIB = 1 << 20
#: Bytes of one body, decompressed.
MAX_BODY = 256 * _MIB
#: Bytes of all bodies that a client holds at once.
MAX_BODIES = 512 * _MIB

#: Values in one body, counted by what separates them. Each takes far more memory than the two bytes that it may have.
MAX_VALUES = 8_000_000
#: Bytes of a body in which the values need not be counted.
_SMALL = 8 * _MIB

_PIECE = _MIB // 4


class BodyRoom:
    """The memory for the bodies of a client.

    All share the first part of it. Who finds that full gets the rest alone, enough for a body of any size that is
    taken, so that large bodies wait for each other and never for ever.
    """

    def __init__(self, total: int = MAX_BODIES, largest: int = MAX_BODY) -> None:
        self.largest = largest
        self._free = total - largest
        self._alone: BodyShare | None = None
        self._condition = threading.Condition()

    def take(self, share: BodyShare, size: int, check: Callable[[], None]) -> int:
        """Wait for room, and return how much of it is taken out of the common part."""
        with self._condition:
            while True:
                check()
                if self._alone is share:
                    return 0
                if self._free >= size:
                    self._free -= size
                    return size
                if self._alone is None:
                    self._alone = share
                    return 0
                self._condition.wait(0.2)  # then `check` is asked again

    def give_back(self, share: BodyShare, size: int) -> None:
        """Make room for others."""
        with self._condition:
            self._free += size
            if self._alone is share:
                self._alone = None
            self._condition.notify_all()


class BodyShare:
    """The room that one body takes, until it is released.

    Args:
        room: Of the client.
    """

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._size = 0
        self._common = 0

    def grow(self, size: int, check: Callable[[], None]) -> None:
        """Wait until there is room for more bytes.

        Args:
            size: How many more.
            check: Called now and then; raises if the wait is to end.

        Raises:
            AchieveItTooLargeError: No body may have so many bytes.
        """
        self._size += size
        if self._size > self._room.largest:
            what = f"the body of the answer has more than {self._room.largest // _MIB} MiB, decompressed"
            raise AchieveItTooLargeError(what, status=200)
        self._common += self._room.take(self, size, check)

    def release(self) -> None:
        """Give the room back, once."""
        size, self._common = self._common, 0
        self._room.give_back(self, size)


def check_values(body: bytes) -> None:
    """Refuse a body with millions of values, before it is decoded.

    Raises:
        AchieveItTooLargeError: It has more than `MAX_VALUES`.
    """
    if len(body) > _SMALL and sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise AchieveItTooLargeError(f"the body of the answer has more than {MAX_VALUES} values", status=200)


def read_body(raw: BaseHTTPResponse, share: BodyShare, check: Callable[[], None]) -> bytes:
    """Read the whole body of an answer and decompress it.

    Args:
        raw: The answer, unread.
        share: Counts the bytes while they come: 2 MB of gzip can become 4 GB.
        check: Called between pieces; raises if the request's time is up.

    Raises:
        AchieveItTooLargeError: It has more bytes than a body may have.
        AchieveItMalformedError: It can't be decompressed.
    """
    encoding = raw.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise AchieveItMalformedError(f"the answer has the encoding {shown(encoding)}, not gzip", status=200)
    is_packed = "gzip" in encoding
    length = raw.length_remaining
    if not is_packed and length is not None and length <= MAX_BODY:
        # A known length is read at once, which is much cheaper.
        share.grow(length, check)
        body = raw.read(decode_content=False)
    else:
        buffer = io.BytesIO()
        for piece in _gunzip(_wire(raw)) if is_packed else _wire(raw):
            share.grow(len(piece), check)
            buffer.write(piece)
            check()
        body = buffer.getvalue()  # shares its memory
    check()
    if raw.length_remaining:  # urllib3 1.26 says nothing of it
        raise AchieveItMalformedError("the body was cut short: fewer bytes came than Content-Length says", status=200)
    return body


def _wire(raw: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := raw.read(_PIECE, decode_content=False):
        yield piece


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a body, never more than a piece at once."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for piece in pieces:
        rest = piece
        while rest:
            if stream.eof:  # another member follows
                stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                yield stream.decompress(rest, _PIECE)
            except zlib.error as error:
                raise AchieveItMalformedError(f"the body cannot be decompressed ({error})", status=200) from None
            rest = stream.unconsumed_tail or stream.unused_data
    while not stream.eof:
        last = stream.decompress(b"", _PIECE)
        if not last:
            raise AchieveItMalformedError("the compressed body is cut short", status=200)
        yield last
