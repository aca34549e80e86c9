"""A threaded HTTP/1.1 server on 127.0.0.1 that hands each request over exactly as it came (undecoded, in order)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from infra.local.http_payload import Reply, message
from infra.local.server import Handler, Server
from infra.local.sigv4 import HttpRequest

log = logging.getLogger(__name__)

_ABSOLUTE = re.compile(r"^https?://[^/?]*")
DRAINED = 64 * 1024 * 1024

Answer = Callable[[HttpRequest], Reply]


class GatewayHandler(Handler):
    """One connection, kept alive; each reply is one write."""

    def run_wsgi(self) -> None:
        """Answer one request (the name is the base class's; there is no WSGI here)."""
        length = self._length()
        if length is None or length > self.server.largest_body:
            # what was sent and not read would be taken for the next request
            self.close_connection = True
            self._drain(length or 0)
            wrong = message(400, "Bad Request") if length is None else message(413, "Request Entity Too Large")
            self._send(wrong)
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(self._body_environ(length))
        # http.server drops all but one of several slashes that a path begins with: take the target from the line
        target = _ABSOLUTE.sub("", self.requestline.split(" ")[1])
        request = HttpRequest(self.command, target, list(self.headers.items()), body)
        try:
            reply = self.server.answer(request)
        except Exception:  # the server outlives a request that fails
            log.exception("%s %s failed", self.command, target)
            reply = message(500, "Internal Server Error")
        self._send(reply)

    def _length(self) -> int | None:
        """Bytes of the body (0 when chunked: its reader finds the end); None when the request is unclear."""
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        lengths = self.headers.get_all("Content-Length") or []
        if (chunked and lengths) or len(set(lengths)) > 1 or not all(each.isdecimal() for each in lengths):
            return None
        return int(lengths[0]) if lengths else 0

    def _drain(self, length: int) -> None:
        """Read away a refused body: most clients look for the answer only after they have sent it all."""
        if self.headers.get("Expect", "").lower() != "100-continue" and length <= DRAINED:
            while length > 0 and (read := self.rfile.read(min(length, 1 << 20))):
                length -= len(read)

    def _body_environ(self, length: int) -> dict[str, Any]:
        chunked = "Transfer-Encoding" in self.headers
        return {"CONTENT_LENGTH": str(length), "wsgi.input_terminated": chunked}

    def _send(self, reply: Reply) -> None:
        if self.close_connection:
            headers = [*reply.headers, ("Connection", "close")]
        else:
            headers = list(reply.headers)
        text = f"{reply.status} {self.responses.get(reply.status, ('',))[0]}"
        self._write(text, headers, reply.body)

    def _write(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code = int(status.split(" ", 1)[0])
        bare = code in (204, 304)
        lines = [f"HTTP/1.1 {status}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not bare:
            lines.append(f"Content-Length: {len(content)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")
        self.wfile.write(head if bare or self.command == "HEAD" else head + content)


class GatewayServer(Server):
    """Serves `answer` on 127.0.0.1:`port`; bodies over `largest_body` bytes are refused unread."""

    def __init__(self, port: int, answer: Answer, largest_body: int) -> None:
        super().__init__(port, None, "the HTTP API")
        self.answer = answer
        self.largest_body = largest_body
        self.RequestHandlerClass = GatewayHandler
