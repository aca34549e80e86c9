"""Environment and command line of a function's process: the template's and AWS's own, nothing of the developer's.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
Beside those there are AWS_ENDPOINT_URL, which leads SDKs to this cloud, and TMPDIR, because processes here share one
/tmp where execution environments on AWS each have their own.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.context import Cloud, Principal
from infra.local.lambdas import wheels
from infra.local.lambdas.code import CodeStore
from infra.local.lambdas.images import Image, ImageError, build, source_of
from infra.local.lambdas.model import Version


@dataclass(frozen=True)
class Launch:
    """How a process of a snapshot is started; `log_group` is where its lines go."""

    arguments: tuple[str, ...]
    directory: Path
    variables: dict[str, str]
    log_group: str


class Launcher:
    """Derives launches from snapshots."""

    def __init__(self, cloud: Cloud, store: CodeStore) -> None:
        self._cloud = cloud
        self._store = store
        self._principals: dict[str, Principal] = {}

    def launch(self, version: Version) -> Launch:
        """Command, directory and environment of `version`, without what differs per process; raises ImageError."""
        group = log_group(version)
        variables = self._common(version, group)
        if version.settings["PackageType"] == "Image":
            return self._image(version, group, variables)
        task, opt = version.package.tree, self._store.opt(version.layers)
        template = dict(version.settings.get("Environment", {}).get("Variables") or {})
        packages = [str(task), str(opt / "python"), str(self._store.runtime(version.settings["Runtime"]))]
        paths = [template.pop("PYTHONPATH", ""), *packages]
        variables |= {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.settings['Runtime']}",
            "LAMBDA_TASK_ROOT": str(task),
            "LAMBDA_RUNTIME_DIR": packages[-1],
            "_HANDLER": version.settings["Handler"],
            "PATH": f"/usr/local/bin:/usr/bin:/bin:{opt / 'bin'}",
            "LD_LIBRARY_PATH": f"{task}:{task / 'lib'}:{opt / 'lib'}",
            **template,
            "PYTHONPATH": ":".join(filter(None, paths)),
        }
        python = str(wheels.python(version.settings["Runtime"])) if self._cloud.strict else sys.executable
        # -S: no site-packages, so that only layers supply packages; -B: as on AWS, no .pyc is written
        arguments = (python, "-S", "-s", "-B", "-m", "awslambdaric", version.settings["Handler"])
        return Launch(arguments, task, variables, group)

    def _image(self, version: Version, group: str, variables: dict[str, str]) -> Launch:
        image = self._built(version)
        override = version.settings.get("ImageConfig") or {}
        command = override.get("Command")
        arguments = image.arguments(override.get("EntryPoint"), command)
        handler = (command or image.command or [""])[-1]
        directory = image.directory(override.get("WorkingDirectory"))
        variables |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "LAMBDA_TASK_ROOT": str(directory), "_HANDLER": handler}
        variables |= image.variables()
        variables |= version.settings.get("Environment", {}).get("Variables") or {}
        return Launch(tuple(arguments), directory, variables, group)

    def _built(self, version: Version) -> Image:
        uri = version.package.image_uri or ""
        source = source_of(self._cloud, uri)
        if source is None:
            raise ImageError(f"image {uri} is not there any more")
        return build(source, self._cloud.workdir / "images")

    def _common(self, version: Version, group: str) -> dict[str, str]:
        settings = version.settings
        principal = self.principal(settings["Role"], version)
        variables = {
            "AWS_REGION": self._cloud.region,
            "AWS_DEFAULT_REGION": self._cloud.region,
            "AWS_ACCESS_KEY_ID": principal.access_key,
            "AWS_SECRET_ACCESS_KEY": principal.secret_key,
            "AWS_SESSION_TOKEN": secrets.token_urlsafe(48),
            "AWS_ENDPOINT_URL": self._cloud.endpoint,
            "AWS_LAMBDA_FUNCTION_NAME": version.function.rpartition(":")[2],
            "AWS_LAMBDA_FUNCTION_VERSION": version.number,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if version.snapped else "on-demand",
            **({} if version.snapped else {"AWS_LAMBDA_LOG_GROUP_NAME": group}),
            "TZ": ":UTC",
            "LANG": "en_US.UTF-8",
        }
        return variables | _logging(settings.get("LoggingConfig") or {})

    def principal(self, role: str, version: Version) -> Principal:
        """The key that a function signs with: a session of its role, named after the function."""
        name = version.function.rpartition(":")[2]
        arn = f"arn:aws:sts::{self._cloud.account}:assumed-role/{role.rpartition('/')[2]}/{name}"
        if arn not in self._principals:
            self._principals[arn] = self._cloud.credentials.issue(arn)
        return self._principals[arn]


def log_group(version: Version) -> str:
    """Where the lines of a function go."""
    chosen = (version.settings.get("LoggingConfig") or {}).get("LogGroup")
    return str(chosen or f"/aws/lambda/{version.function.rpartition(':')[2]}")


def _logging(chosen: dict[str, Any]) -> dict[str, str]:
    variables = {}
    if chosen.get("LogFormat"):
        variables["AWS_LAMBDA_LOG_FORMAT"] = chosen["LogFormat"]
    if chosen.get("ApplicationLogLevel"):
        variables["AWS_LAMBDA_LOG_LEVEL"] = chosen["ApplicationLogLevel"]
    return variables
