"""What an API event costs the predict function, and what a request costs peers that serve over HTTP; cold and warm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benchmarks.interleave import Command, Effort, Worker, contenders, interleaved, once, there_and_back, whole
from scripts.benchmarks.peers import python_of
from scripts.benchmarks.rows import Row, compare
from scripts.benchmarks.servers import PEERS, Peer, Server, serving
from scripts.cli.output import Failure
from scripts.steps import Say

# Greatest ratio to the peer, by peer and rows; from the project's goals.
GOALS = {("mlflow models serve", 1): 1 / 40, ("BentoML + onnxruntime", 1): 1 / 8}
# Servers are measured in ticks of 10 ms: turns are long.
EFFORT = Effort(rounds=7, turn=0.5)
COLD_ROUNDS = 3


class Field:
    """The peers that can be installed here and answer, in a prepared folder; why the others cannot."""

    def __init__(self, folder: Path, sizes: tuple[int, ...], say: Say, peers: Mapping[str, Peer] = PEERS) -> None:
        self.folder, self.say, self.sizes = folder, say, sizes
        self.work: dict[str, Any] = json.loads((folder / "workload.json").read_text())
        self.probability = float(json.loads((folder / "first.json").read_text())["probability"])
        self.out: dict[str, str] = {}
        self.pythons: dict[str, Path] = {}
        for name, peer in peers.items():
            try:
                self.pythons[name] = python_of(peer.environment, say)
            except Failure as error:
                self.leave_out(name, error)
        self._peers, self._starts = peers, 0

    def leave_out(self, name: str, error: Failure) -> None:
        """Go on without a peer, and say so."""
        self.pythons.pop(name, None)
        self.out[name] = str(error)
        self.say(f"[bold red]{name} is left out:[/] {error}")

    def start(self, name: str, stack: ExitStack) -> Server | None:
        """A started server that has given the right answer; None when it cannot, and is left out from then on."""
        self._starts += 1
        place = self.folder / "servers" / str(self._starts)
        server = stack.enter_context(serving(self._peers[name], self.pythons[name], self.folder, place))
        records = self.work["records"]
        server.prepare({str(size): records[:size] for size in self.sizes}, self.work["inputs"])
        try:
            server.first("1", self.probability)
        except Failure as error:
            self.leave_out(name, error)
            return None
        return server


def warm(field: Field, handler: Command, effort: Effort = EFFORT) -> Iterator[Row]:
    """CPU per API event beside CPU per request, one worker each."""
    with contenders({"perennial": handler}) as ours, ExitStack() as stack:
        field.say("starting the servers")
        servers = {name: server for name in list(field.pythons) if (server := field.start(name, stack))}
        everyone: dict[str, Worker] = {**ours, **servers}
        for size in field.sizes:
            label = f"API event of {size:,} row{'s' * (size > 1)}"
            field.say(label)
            taken = interleaved(everyone, str(size), effort)
            micro = {name: [seconds * 1e6 for seconds in rounds] for name, rounds in taken.items()}
            for name, server in servers.items():
                yield compare(
                    f"{label} / {name}, a request", micro["perennial"], micro[name],
                    unit="CPU µs", versions=server.versions, goal=GOALS.get((name, size)),
                )  # fmt: skip
            for name in field.out:
                mine, goal = median(micro["perennial"]), GOALS.get((name, size))
                yield Row(f"{label} / {name}, not measured", mine, None, "CPU µs", None, goal, {})


def cold(field: Field, command: Command, rounds: int = COLD_ROUNDS) -> Iterator[Row]:
    """From start to first answer: CPU of all processes and what they keep in memory; `command` is one of cold.py's."""
    telling = replace(command, arguments=[*command.arguments, "memory"])
    field.say("servers from start to first answer")
    seconds: dict[str, list[float]] = {"perennial": []}
    memory: dict[str, list[float]] = {"perennial": []}
    versions: dict[str, dict[str, str]] = {}
    for number in range(rounds):
        for name in there_and_back(["perennial", *field.pythons], number):
            if name == "perennial":
                seconds[name].append(whole(name, command))
                memory[name].append(float(once(telling).splitlines()[-1]))
                continue
            with ExitStack() as stack:
                server = field.start(name, stack) if name in field.pythons else None
                if server is not None:
                    seconds.setdefault(name, []).append(server.cpu())
                    memory.setdefault(name, []).append(server.memory())
                    versions[name] = server.versions
    for name in field.pythons:
        milli = [[one * 1e3 for one in seconds[who]] for who in ("perennial", name)]
        yield compare(f"start to first answer / {name}", *milli, unit="CPU ms", versions=versions[name])
        yield compare(
            f"memory after the first answer / {name}", memory["perennial"], memory[name],
            unit="PSS MiB", versions=versions[name],
        )  # fmt: skip
