"""January to June against July to December, 337k flights of 19 columns: CPU time and memory beside the peers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.contenders.peak import ONCE
from scripts.benchmarks.ingest import CONTRACT
from scripts.benchmarks.interleave import Command, Effort, contenders, interleaved, once, own, peer
from scripts.benchmarks.peers import python_of
from scripts.benchmarks.rows import Row, compare
from scripts.cli.local import WORKDIR
from scripts.cli.output import Failure
from scripts.flights import months
from scripts.steps import Say

# A call of the slowest takes many seconds: few rounds, one call in each.
EFFORT = Effort(rounds=5)
WHAT = "drift of January–June against July–December, from CSV"


@dataclass(frozen=True)
class Contender:
    """A peer: its list of packages, its module, and the ratios of CPU time and memory that are wanted."""

    name: str
    requirements: str
    module: str
    cpu: float
    memory: float | None = None


PEERS = (
    Contender("Evidently's preset", "evidently", "evidently_drift", 1 / 25, 1 / 3),
    Contender("NannyML", "nannyml", "nannyml_drift", 1 / 8),
    Contender("TFDV", "tfdv", "tfdv_drift", 1 / 3),
)


def run(say: Say, effort: Effort = EFFORT) -> Iterator[Row]:
    """A row of CPU time and one of memory per peer; one that cannot be installed is told, and has no figures."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        halves = written(months(WORKDIR / "flights"), Path(name))
        ours = own(Path(sys.executable), "perennial_drift", *halves, str(CONTRACT))
        for one in PEERS:
            try:
                python = python_of(one.requirements, say)
            except Failure as error:
                say(str(error))
                yield Row(f"{WHAT} / {one.name}: cannot be installed", 0.0, None, "CPU s", None, None, {})
                continue
            yield from _beside(one, ours, peer(python, one.module, *halves), effort, say)


def written(paths: Sequence[Path], folder: Path) -> list[str]:
    """Two CSV files: the first six months and the others."""
    found: list[str] = []
    for number, half in enumerate((paths[:6], paths[6:])):
        bodies = [path.read_bytes().partition(b"\n") for path in half]
        path = folder / f"half-{number}.csv"
        path.write_bytes(bodies[0][0] + b"\n" + b"".join(rows for _, _, rows in bodies))
        found.append(str(path))
    return found


def _beside(one: Contender, ours: Command, theirs: Command, effort: Effort, say: Say) -> Iterator[Row]:
    say(f"drift beside {one.name}")
    with contenders({"ours": ours, "theirs": theirs}) as started:
        taken = interleaved(started, "halves", effort)
        versions = started["ours"].versions | started["theirs"].versions
    yield compare(f"{WHAT} / {one.name}", taken["ours"], taken["theirs"], unit="CPU s", versions=versions, goal=one.cpu)
    peaks = [float(once(_once(command))) for command in (ours, theirs)]
    yield compare(
        f"{WHAT}: memory of the process / {one.name}", peaks[:1], peaks[1:], unit="MiB", versions=versions,
        goal=one.memory,
    )  # fmt: skip


def _once(command: Command) -> Command:
    return Command(command.python, [*command.arguments, ONCE], command.variables)
