"""SigV4-signed HTTP to the environment's API."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from scripts.cli.output import Failure


@dataclass
class Api:
    """The HTTP API at `url`, called with the ordinary credential chain, or as a `profile`. Its threads may share it."""

    url: str
    profile: str | None = None
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=16, retries=False))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        session = boto3.session.Session(profile_name=self.profile)
        self._credentials = session.get_credentials()
        self._region = session.region_name
        if self._credentials is None or self._region is None:
            raise Failure("no AWS credentials or region in the environment")

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one signed request; (status, body)."""
        signed = AWSRequest(method, self.url.rstrip("/") + path, headers=dict(headers or {}), data=body)
        with self._lock:
            frozen: Any = self._credentials.get_frozen_credentials()  # type: ignore[union-attr]
        SigV4Auth(frozen, "execute-api", self._region).add_auth(signed)
        try:
            reply = self._pool.request(
                method, str(signed.url), body=body or None, headers=dict(signed.headers), timeout=40.0
            )
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"{method} {self.url}{path}: {error}") from error
        return reply.status, reply.data

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """Send JSON, get JSON. Raises Failure with the protocol's error text unless the status is 200."""
        body = b"" if value is None else json.dumps(value, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"} if body else {}
        status, reply = self.request(method, path, body, headers)
        try:
            parsed = json.loads(reply)
        except ValueError:
            parsed = {"error": reply[:200].decode(errors="replace")}
        if status != 200:
            raise Failure(f"{method} {path}: {status} {parsed.get('error', parsed.get('message', parsed))}")
        return parsed
