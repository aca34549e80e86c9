"""Child processes of the local cloud: each leads its own session and never outlives the cloud."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any


class _Reaper:
    """The one watcher process of this interpreter (see `infra.local.reaper`), started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
                atexit.register(self.close)
            pipe = self._process.stdin
            assert pipe is not None  # noqa: S101 - opened just above
            with contextlib.suppress(BrokenPipeError):
                pipe.write(f"{line}\n".encode())
                pipe.flush()

    def close(self) -> None:
        """End the watcher; it ends whatever child is left first."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait(timeout=10)

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-E", "-s", str(Path(__file__).with_name("reaper.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


_reaper = _Reaper()


def spawn(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: str | Path | None = None,
    stdin: int | IO[Any] | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own with exactly the environment `env`.

    It and its process group are killed when this process ends, even by SIGKILL. End it with `end`.
    """
    child = subprocess.Popen(
        [str(arg) for arg in args],
        env=dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    _reaper.tell(str(child.pid))
    return child


def end(child: subprocess.Popen[bytes], grace: float = 0.0) -> int:
    """End a child and its whole process group; returns its exit status.

    With `grace` seconds > 0 it gets SIGTERM and that long to leave by itself; then SIGKILL.
    """
    if grace > 0:
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=grace)
    # also when the leader has left: what it started must not stay behind
    _signal_group(child, signal.SIGKILL)
    status = child.wait()
    _reaper.tell(str(-child.pid))
    return status


def close() -> None:
    """End the watcher and any child that is left (the last act of the cloud)."""
    _reaper.close()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
