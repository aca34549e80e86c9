"""Watches over the children of the local cloud: when the cloud is gone, however it went, they are ended too.

Run as a script by `infra.local.process` with a pipe on stdin. Each line is the id of a process that leads its own
session; the end of the pipe means that the cloud has exited (even by SIGKILL). This is used and not
PR_SET_PDEATHSIG, because that signal is bound to the *thread* that started the child (a server's request threads come
and go), reaches no grandchildren and exists on Linux only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil


def started_at(pid: int) -> float | None:
    """When process `pid` started, or None when it is gone: tells a child from a later owner of its id."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def main() -> None:
    """Read process ids until the pipe ends, then kill the sessions that are still those read."""
    children: dict[int, float | None] = {}
    for line in sys.stdin:
        pid = int(line)
        if pid < 0:
            children.pop(-pid, None)
        else:
            children[pid] = started_at(pid)
    for pid, started in children.items():
        if started is not None and started_at(pid) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    main()
