"""The Lambda Runtime API (2018-06-01) of one execution environment, on a loopback port of its own.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
Spoken to by awslambdaric over one kept-alive connection, so a request costs two small messages each way; the parser
reads only what that client writes.
"""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import threading
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Literal

RESULT = re.compile(r"^/2018-06-01/runtime/invocation/([^/]+)/(response|error)$")
NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
# asked by a runtime that is ready for its snapshot, and answered in what was restored from it
# https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks.html
RESTORED = "/2018-06-01/runtime/restore/next"
RESTORE_ERROR = "/2018-06-01/runtime/restore/error"

# what a response may weigh: 6 MB and 100 bytes
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RESPONSE_LIMIT = 6 * 1024 * 1024 + 100


@dataclass(frozen=True)
class Work:
    """One event on its way into the runtime."""

    request_id: str
    payload: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What the runtime says: it is ready, has an answer, an error, too long an answer, or is gone."""

    kind: Literal["ready", "response", "error", "oversized", "init-error", "hangup", "exit", "memory"]
    request_id: str = ""
    body: bytes = b""


class RuntimeApi:
    """The server's side. `reports` is what its owner reads; `give` is how work gets in."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._ready = False
        self._wanted = threading.Event()
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, name=f"runtime-api-{self.address}", daemon=True).start()

    def give(self, work: Work) -> None:
        """Hand the runtime an event."""
        self._work.put(work)
        self._wanted.set()

    def close(self) -> None:
        """Stop serving; whoever waits for work gets none."""
        self._work.put(None)
        self._wanted.set()
        with contextlib.suppress(OSError):
            # a plain close would not wake the thread that waits in accept
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked_for_work = False
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
            while head := _head(reader):
                method, path, length = head
                body = reader.read(length) if length else b""
                asked_for_work = asked_for_work or path == NEXT
                reply = self._asked(path) if method == "GET" else self._posted(path, body)
                if reply is None:
                    break
                connection.sendall(reply)
        if asked_for_work:
            self.reports.put(Report("hangup"))

    def _asked(self, path: str) -> bytes | None:
        if path not in (NEXT, RESTORED):
            return _reply("404 Not Found", b"")
        if not self._ready:
            self._ready = True
            self.reports.put(Report("ready"))
        if path == RESTORED:
            self._wanted.wait()
            return _reply("200 OK", b"")
        work = self._work.get()
        if work is None:
            return None
        headers = {"Lambda-Runtime-Aws-Request-Id": work.request_id, **work.headers}
        return _reply("200 OK", work.payload, headers)

    def _posted(self, path: str, body: bytes) -> bytes:
        result = RESULT.match(path)
        if result and result[2] == "response" and len(body) > RESPONSE_LIMIT:
            self.reports.put(Report("oversized", result[1], str(len(body)).encode()))
            return _reply("413 Request Entity Too Large", b'{"errorType":"RequestEntityTooLarge"}')
        if result:
            self.reports.put(Report("response" if result[2] == "response" else "error", result[1], body))
            return _reply("202 Accepted", b'{"status":"OK"}')
        if path in (INIT_ERROR, RESTORE_ERROR):
            self.reports.put(Report("init-error", "", body))
            return _reply("202 Accepted", b'{"status":"OK"}')
        return _reply("404 Not Found", b"")


def _head(reader: BufferedReader) -> tuple[str, str, int] | None:
    """Method, path and body length of the next request; None at the end of the connection."""
    line = reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    length = 0
    while (header := reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return method, path, length


def _reply(status: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
