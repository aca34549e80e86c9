"""A threaded HTTP/1.1 server for WSGI apps, on the loopback interface only, with connections kept alive.

werkzeug's own closes every connection and waits ten milliseconds after each reply; SDKs reuse connections, and so
latencies measured here would be the server's and not the system's.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import socket
import socketserver
import threading
from http.server import HTTPServer
from typing import Any

from moto.server import MotoRequestHandler
from werkzeug.serving import DechunkedInput

log = logging.getLogger(__name__)


class PortTaken(OSError):
    """Another process listens on the port."""

    def __init__(self, port: int, what: str) -> None:
        super().__init__(
            errno.EADDRINUSE,
            f"port {port} of 127.0.0.1, wanted for {what}, is taken by another process: "
            "stop that process (`perennial down`, if it is an earlier local cloud) or choose another with --port",
        )


class Handler(MotoRequestHandler):
    """One connection: reads each request whole, so that the next one starts where it should."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300  # seconds a kept-alive connection may stay silent
    server: Any

    def run_wsgi(self) -> None:
        """Answer one request: one read of the body, one write of the reply."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = self.make_environ()
        body = self._body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        status, headers, content = self._call(environ)
        self._reply(status, headers, content)

    def _body(self, environ: dict[str, Any]) -> bytes:
        if environ.get("wsgi.input_terminated"):
            reader = DechunkedInput(self.rfile)
            return b"".join(iter(lambda: reader.read(1 << 20), b""))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return self.rfile.read(length) if length else b""

    def _call(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = ["500 Internal Server Error", []]

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return written.append

        written: list[bytes] = []
        try:
            parts = self.server.app(environ, start_response)
            try:
                content = b"".join(written) + b"".join(parts)
            finally:
                if hasattr(parts, "close"):
                    parts.close()
        except Exception as error:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return "500 Internal Server Error", [("Content-Type", "text/plain")], f"{error!r}\n".encode()
        return started[0], started[1], content

    def _reply(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, reason = status.partition(" ")
        empty = self.command == "HEAD" or int(code) in {204, 304}
        kept = {name: value for name, value in headers if name.lower() not in {"connection", "transfer-encoding"}}
        lines = [f"HTTP/1.1 {code} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers if name in kept]
        names = {name.lower() for name in kept}
        if "date" not in names:
            lines.append(f"Date: {self.date_time_string()}")
        # a HEAD reply keeps the length of the body that it does not carry
        if "content-length" not in names and int(code) not in {204, 304}:
            lines.append(f"Content-Length: {len(content)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head if empty else head + content)

    def log_request(self, *args: Any) -> None:
        """Say nothing: a cloud answers thousands of requests."""


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """A WSGI app on 127.0.0.1:`port` (0: any free one), one thread per connection."""

    daemon_threads = True
    request_queue_size = 128
    multithread = True
    multiprocess = False
    ssl_context = None
    passthrough_errors = False
    _server_version = "Perennial"

    def __init__(self, port: int, app: Any, what: str = "the AWS APIs") -> None:
        self.app = app
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(port, what) from error
            raise
        self.port: int = self.server_address[1]

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's name, which may ask a DNS server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=f"server-{self.port}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, to drop it when the server stops."""
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not an error."""
        log.debug("connection from %s ended", client_address, exc_info=True)

    def log(self, kind: str, message: str, *args: Any) -> None:
        """werkzeug's handler logs through the server."""
        log.log(logging.ERROR if kind == "error" else logging.DEBUG, message, *args)
