"""What every service of the local cloud is handed: addresses, clock, credentials, clients."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config

from infra.local.clock import Clock

if TYPE_CHECKING:
    from werkzeug import Request, Response

ACCOUNT = "123456789012"


class Service(Protocol):
    """A part of AWS that moto does not imitate well enough, answered by the local cloud itself."""

    def handle(self, request: Request) -> Response | None:
        """Answer the request, or None to pass it on (in the end to moto)."""
        ...

    def stop(self) -> None:
        """End every thread and process of this service."""
        ...


@dataclass(frozen=True)
class Principal:
    """Who signs with an access key: the key's secret and the ARN the call is made as."""

    access_key: str
    secret_key: str = field(repr=False)
    arn: str


class Credentials:
    """Access keys of this run of the cloud; made at random, forgotten when it stops."""

    def __init__(self) -> None:
        self._principals: dict[str, Principal] = {}
        self._lock = threading.Lock()

    def issue(self, arn: str, access_key: str | None = None, secret_key: str | None = None) -> Principal:
        """A new key pair for the principal `arn` (an IAM user or role ARN)."""
        access_key = access_key or f"AKIA{secrets.token_hex(8).upper()}"
        principal = Principal(access_key, secret_key or secrets.token_urlsafe(30), arn)
        with self._lock:
            self._principals[principal.access_key] = principal
        return principal

    def find(self, access_key: str) -> Principal | None:
        """The principal that signs with `access_key`, or None."""
        with self._lock:
            return self._principals.get(access_key)


@dataclass
class Cloud:
    """One run of the local cloud."""

    port: int
    api_port: int
    workdir: Path
    region: str = "eu-west-1"
    account: str = ACCOUNT
    clock: Clock = field(default_factory=Clock)
    credentials: Credentials = field(default_factory=Credentials)

    def __post_init__(self) -> None:
        self.admin = self.credentials.issue(f"arn:aws:iam::{self.account}:user/local")
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """Where every AWS API of this cloud answers."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        """A boto3 client of `service` on this cloud, as its administrator (boto3 clients are thread-safe)."""
        with self._lock:
            if service not in self._clients:
                session: Any = boto3.session.Session(
                    aws_access_key_id=self.admin.access_key,
                    aws_secret_access_key=self.admin.secret_key,
                    region_name=self.region,
                )
                config = Config(retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=32)
                self._clients[service] = session.client(service, endpoint_url=self.endpoint, config=config)
            return self._clients[service]
