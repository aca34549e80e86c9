"""`scripts/demo` as a user runs it: in a folder of its own, on free ports, with nobody's AWS settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil

from scripts.cli.local import free_port

ROOT = Path(__file__).parents[1]


def demo(workdir: Path, *words: str) -> tuple[int, str]:
    """Exit status, and everything printed. No process of the demo may be left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo"), *words, "--port", str(free_port())],
        cwd=workdir,
        env=environment | {"PERENNIAL_WORKDIR": str(workdir), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    left = [one for one in psutil.process_iter(["cmdline"]) if str(workdir) in " ".join(one.info["cmdline"] or ())]
    assert left == []
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr
