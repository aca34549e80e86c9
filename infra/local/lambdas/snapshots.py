"""SnapStart: a published version is initialised once, before anybody calls it; what then runs has been initialised.

A process cannot be copied as a virtual machine can: the environment that was initialised takes the first call, and
those beside it initialise by themselves. Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace

from infra.local.lambdas.errors import ApiError
from infra.local.lambdas.model import Function, Version
from infra.local.lambdas.platform_log import PlatformLog
from infra.local.lambdas.pool import Pool
from infra.local.lambdas.sandbox import Machinery, Sandbox

# seconds that initialising may take, or the function's timeout if that is longer
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
LIMIT = 130.0


class Snapshots:
    """Initialises versions in the background; they are Pending meanwhile, then Active or Failed."""

    def __init__(self, pool: Pool, machinery: Machinery) -> None:
        self._pool = pool
        self._machinery = machinery

    def take(self, function: Function, version: Version) -> None:
        """Begin with a version that was just published."""
        threading.Thread(target=self._take, args=(function, version), name="lambda-snapshot", daemon=True).start()

    def _take(self, function: Function, version: Version) -> None:
        try:
            sandbox = self._pool.lease(version)
            try:
                failure = self._initialise(sandbox, version)
            finally:
                self._pool.give_back(sandbox)
        except (ApiError, RuntimeError) as error:  # no room, or the cloud stops
            failure = str(error)
        with function.lock:
            if version.number in function.versions:
                function.versions[version.number] = replace(version, settles=time.monotonic(), failure=failure)

    def _initialise(self, sandbox: Sandbox, version: Version) -> str:
        log = PlatformLog(sandbox.log, self._machinery.cloud.clock.now, version.settings, version.number)
        begun = time.monotonic()
        log.init_start("snap-start")
        sandbox.start()
        outcome = sandbox.initialise(max(LIMIT, float(version.settings["Timeout"])), str(uuid.uuid4()))
        seconds = time.monotonic() - begun
        if not outcome.failed:
            log.init_done(seconds)
            return ""
        log.init_failed(seconds, outcome.status, outcome.error_type)
        return f"The function failed to initialize: {outcome.error_type or outcome.status}"
