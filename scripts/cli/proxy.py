"""`perennial proxy`: the API on this machine, signed for clients that cannot sign."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import boto3
import typer

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, errors, print_json
from scripts.cli.signing_proxy import SigningProxy


def proxy(
    port: Annotated[int, typer.Option(help="The port of 127.0.0.1 to listen on.", min=0, max=65535)] = 8080,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Serve the environment's API on 127.0.0.1 without asking for signatures, until interrupted."""
    api_url = Deployment(env).parameters["api-url"]
    session = boto3.session.Session()
    credentials, region = session.get_credentials(), session.region_name
    if credentials is None or region is None:
        raise Failure("no AWS credentials or region in the environment")
    serve(api_url, port, credentials, region, as_json=as_json)


def serve(api_url: str, port: int, credentials: Any, region: str, *, as_json: bool = False) -> None:
    """Proxy `api_url` on 127.0.0.1:`port` with botocore `credentials` until interrupted; raises Failure."""
    try:
        server = SigningProxy(api_url, port, credentials, region)
    except OSError as error:
        raise Failure(f"port {port} of 127.0.0.1: {error.strerror or error}") from error
    url = f"http://127.0.0.1:{server.server_port}"
    if as_json:
        print_json({"url": url, "api_url": api_url})
        sys.stdout.flush()
    else:
        errors.print(f"{url} signs for {api_url} (Ctrl-C ends it)", soft_wrap=True)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
