"""A reverse proxy on this machine that signs what it passes on.

Clients that cannot sign with SigV4 (tritonclient, browsers, the MLflow UI) work through it unmodified: bodies, content
types, `Inference-Header-Content-Length` and content encodings pass unchanged both ways.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

# the API takes 10 MB and says so itself; this only keeps a mistake from filling the memory
LARGEST_BODY = 64 * 1024 * 1024
LONGEST = 60.0  # seconds to wait for the API, which answers within 30
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
# made anew for the API: its own host and signature
_NOT_PASSED = _HOP_BY_HOP | {"host", "authorization", "content-length", "origin", "referer"}
_LOCAL = re.compile(r"^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$")


class SigningProxy(ThreadingHTTPServer):
    """Listens on 127.0.0.1:`port` (0: any free one); `credentials` are botocore's and may refresh themselves."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api_url: str, port: int, credentials: Any, region: str) -> None:
        self.api_url = api_url.rstrip("/")
        self._credentials = credentials
        self._region = region
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, timeout=LONGEST)
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the proxy's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def forward(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send a request on, signed; the API's status, headers and undecoded body."""
        url = self.api_url + _escaped(target)
        passed = [(name, value) for name, value in headers if name.lower() not in _NOT_PASSED]
        passed = [(name, value) for name, value in passed if not name.lower().startswith("x-amz-")]
        # only what no server in between will touch is signed
        request = AWSRequest(method, url, data=body, headers={"Host": urlsplit(url).netloc})
        with self._lock:
            frozen = self._credentials.get_frozen_credentials()
        SigV4Auth(frozen, "execute-api", self._region).add_auth(request)
        sent = urllib3.HTTPHeaderDict(passed)
        for name, value in request.headers.items():
            sent[name] = value
        if "accept-encoding" not in sent:
            sent["accept-encoding"] = urllib3.util.SKIP_HEADER
        if "user-agent" not in sent:
            sent["user-agent"] = urllib3.util.SKIP_HEADER
        if body or method in ("POST", "PUT", "PATCH"):
            sent["content-length"] = str(len(body))
        reply = self._pool.urlopen(
            method, url, body=body or None, headers=sent, redirect=False, decode_content=False, preload_content=False
        )
        try:
            content = reply.read(decode_content=False)
        finally:
            reply.release_conn()
        return reply.status, [(name, self._here(name, value)) for name, value in reply.headers.items()], content

    def _here(self, name: str, value: str) -> str:
        """A header of the reply; a redirection to the API leads to this proxy."""
        if name.lower() == "location" and value.startswith(self.api_url):
            return f"http://127.0.0.1:{self.server_port}" + value.removeprefix(self.api_url)
        return value


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    server: SigningProxy

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer  # every method is passed on
        raise AttributeError(name)

    def _answer(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._reply(413, [], _error("the request is too large or of unclear length"))
            return
        if reason := self._foreign():
            self._reply(403, [], _error(reason))
            return
        target = self.requestline.split(" ")[1]
        try:
            self._reply(*self.server.forward(self.command, target, self.headers.items(), body))
        except (urllib3.exceptions.HTTPError, UnicodeError) as error:
            self._reply(502, [], _error(f"{self.server.api_url}: {error}"))

    def _foreign(self) -> str | None:
        """Why the request is not this machine's own: a page of any site can reach 127.0.0.1 with the user's rights."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not _LOCAL.match(host):
            return f"this proxy answers for 127.0.0.1, not for {host}"
        if origin is not None and origin != f"http://{host}":
            return f"pages of {origin} may not use this proxy"
        if origin is None and self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "pages of other sites may not use this proxy"
        return None

    def _body(self) -> bytes | None:
        lengths = self.headers.get_all("Content-Length") or ["0"]
        if "Transfer-Encoding" in self.headers:
            return self._chunks() if "Content-Length" not in self.headers else None
        if len(set(lengths)) > 1 or not lengths[0].isdecimal() or int(lengths[0]) > LARGEST_BODY:
            return None
        return self.rfile.read(int(lengths[0]))

    def _chunks(self) -> bytes | None:
        """A body sent in chunks, joined: a signature needs the whole of it."""
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                length = int(self.rfile.readline(100).split(b";")[0], 16)
            except ValueError:
                return None
            size += length
            if length < 0 or size > LARGEST_BODY:
                return None
            if length == 0:
                while self.rfile.readline(65_537).strip():
                    continue
                return b"".join(parts)
            parts.append(self.rfile.read(length))
            self.rfile.readline(3)

    def _reply(self, status: int, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP and name.lower() != "content-length":
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the API's own log tells of each request."""


def _error(reason: str) -> bytes:
    return json.dumps({"error": reason}).encode()


def _escaped(target: str) -> str:
    """The target with its query escaped as signatures want it: clients leave characters bare that AWS escapes."""
    path, mark, query = target.partition("?")
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    escaped = [
        "=".join(quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~") for text in pair) for pair in pairs
    ]
    return path + mark + "&".join(escaped)
