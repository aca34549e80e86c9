"""Files on their way into the data bucket."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from scripts.cli.deployment import Deployment
from scripts.cli.output import errors


def upload(deployment: Deployment, file: Path, key: str) -> str:
    """Put the file under `key`; the ETag under which it now lies."""
    bucket = deployment.data.bucket
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(f"uploading {file.name}", total=file.stat().st_size)
        deployment.client("s3").upload_file(
            str(file), bucket, key, Callback=lambda count: progress.advance(task, count)
        )
    return str(deployment.client("s3").head_object(Bucket=bucket, Key=key)["ETag"]).strip('"')
