"""HTTP over persistent connections. Bodies are read straight into their destination.

`http.client` reads a body into any buffer; libraries on top of it return copies.
"""

from __future__ import annotations

import http.client
import os
import selectors
import ssl
import threading
import urllib.parse
import weakref
from typing import Callable, Mapping

_Keep = Callable[[http.client.HTTPConnection], None]


class Unanswered(Exception):
    """No reply, or one that ended before its length; the message says why. ``wait`` is the service's Retry-After, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(reason)


class Connections:
    """Connections to the service at ``url``, as many as threads need at a time. Idle connections are reused.

    ``timeout`` is the number of seconds without a byte after which a connection counts as broken.

    Raises:
        ValueError: ``url`` is not an HTTP URL.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not a URL such as http://127.0.0.1:8080")
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._secure = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()
        weakref.finalize(self, _close, self._idle)

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Sends a request, and reads the head of its reply.

        Raises:
            Unanswered: there is no connection, or it breaks.
        """
        connection = self._kept() or self._opened()
        try:
            connection.request(method, self._prefix + path, body, dict(headers))
            return Reply(connection, connection.getresponse(), self._keep)
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, http.client.HTTPException)):
                raise Unanswered(_reason(error)) from error
            raise

    def _kept(self) -> http.client.HTTPConnection | None:
        """An idle connection that the service has not closed."""
        while True:
            with self._lock:
                if self._process != os.getpid():
                    # After a fork, these connections are the parent's, too.
                    _close(self._idle)
                    self._idle.clear()
                    self._process = os.getpid()
                if not self._idle:
                    return None
                connection = self._idle.pop()
            with selectors.DefaultSelector() as selector:
                selector.register(connection.sock, selectors.EVENT_READ)
                # Nothing was requested, so readable bytes are the end of the stream, or not HTTP.
                if not selector.select(0):
                    return connection
            connection.close()

    def _opened(self) -> http.client.HTTPConnection:
        timeout = min(self._timeout, 10.0)
        if self._secure is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._secure)
        try:
            connection.connect()
        except TimeoutError as error:
            raise Unanswered("no connection in time") from error
        except OSError as error:
            raise Unanswered(f"no connection ({error.strerror or error})") from error
        connection.sock.settimeout(self._timeout)
        return connection

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append(connection)


class Reply:
    """A reply whose body is still to be read. Its connection is reused only if the body is read to its end."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, keep: _Keep) -> None:
        self._connection, self._response, self._keep = connection, response, keep
        self.status = response.status
        length = response.headers.get("Content-Length", "")
        #: Bytes of the body, if the head states them.
        self.length = int(length) if length.isdigit() else None
        self._at = 0

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        if self._response.isclosed() and not self._response.will_close and self.length in (None, self._at):
            self._keep(self._connection)
        else:
            # The rest of the body would come before the next reply.
            self._connection.close()

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    def readinto(self, target: memoryview) -> int:
        """Fills ``target``, or the beginning of it if the body ends there. Returns the number of bytes.

        Raises:
            Unanswered: the connection breaks. A body that ends early raises no error.
        """
        try:
            count = self._response.readinto(target)
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(_reason(error)) from error
        self._at += count
        return count

    def read(self, limit: int | None = None) -> bytes:
        """The rest of the body, or its first ``limit`` bytes.

        Raises:
            Unanswered: the connection breaks, or the body ends before its length.
        """
        try:
            data = self._response.read(limit)
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(_reason(error)) from error
        self._at += len(data)
        return data


def _close(connections: list[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _reason(error: Exception) -> str:
    """The reason why a connection failed, without the library's own terms."""
    return "no byte arrived for too long" if isinstance(error, TimeoutError) else "the connection broke"
