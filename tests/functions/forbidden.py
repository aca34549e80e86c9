"""A process in which sockets and further programs are forbidden. Run by its path, with nothing of the suite importable.

    python forbidden.py handler TASK_ROOT EVENTS     call the handler with a JSON list of events; print what came of it
    python forbidden.py (python|native) socket       show that the bans hold

Two bans: Python's audit events name who tried, and are raised where it happens; the kernel's filter (seccomp, Linux on
x86-64 and arm64) also sees native code and ends the process with SIGSYS.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BANNED_EVENTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "urllib.", "http.")
# socket, connect, sendto, execve, execveat
SYSCALLS = {"x86_64": (41, 42, 44, 59, 322), "aarch64": (198, 203, 206, 221, 281)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL_PROCESS, _ALLOW = 0x80000000, 0x7FFF0000


def forbid_in_kernel() -> bool:
    """Forbid the system calls, to this process and its threads, for good; False where the kernel has no such filter."""
    numbers = SYSCALLS.get(platform.machine()) if sys.platform == "linux" else None
    if numbers is None:
        return False
    steps = [(_LOAD_NUMBER, 0, 0, 0)]
    for number in numbers:
        steps += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _KILL_PROCESS)]
    program = b"".join(struct.pack("HBBI", *step) for step in [*steps, (_RETURN, 0, 0, _ALLOW)])
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(steps) + 1, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_ulong(0)] * 3
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *wide) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), header, *wide[:2]) == 0)


def forbid_in_python() -> None:
    """Raise where Python code opens a socket, resolves a name or starts a program."""

    def hook(event: str, arguments: Any) -> None:
        if event.startswith(BANNED_EVENTS):
            raise PermissionError(f"forbidden: {event} {arguments!r}")

    sys.addaudithook(hook)


def answer(task_root: str, events: str) -> None:
    """Start the function, send it the events (the first one finds it cold), print statuses, replies and modules."""
    os.environ["LAMBDA_TASK_ROOT"] = task_root
    native = forbid_in_kernel()
    forbid_in_python()
    import importlib

    handler = importlib.import_module("predict.handler")
    context = SimpleNamespace(aws_request_id="6f1b2c3d-1111-4222-8333-123456789abc")
    replies = [handler.lambda_handler(event, context) for event in json.loads(Path(events).read_text())]
    sys.stdout.write(json.dumps({"native": native, "replies": replies, "modules": sorted(sys.modules)}) + "\n")


def try_out(where: str) -> None:
    """Break a ban."""
    import socket

    if where == "python":
        forbid_in_python()
        socket.create_connection(("127.0.0.1", 9))
    elif not forbid_in_kernel():
        sys.stdout.write("no filter\n")
    else:
        ctypes.CDLL(None).socket(2, 1, 0)


if __name__ == "__main__":
    if sys.argv[1] == "handler":
        answer(*sys.argv[2:])
    else:
        try_out(sys.argv[1])
