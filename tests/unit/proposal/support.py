"""A proposal put to the test: the file under its contract, a training under its spec, both by production's own code."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from perennial.catalog.contract import Contract, parse_contract
from perennial.catalog.model import ModelSpec, parse_model
from perennial.datasets.sift import Sifted, sift
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.gates import Evidence, bound_gates
from perennial.evaluation.metrics import Scored, measure
from perennial.evaluation.scoring import Graph
from perennial.proposal.propose import Proposal, propose
from perennial.training.data import to_rows
from perennial.training.export import export
from perennial.training.features import features_of
from perennial.training.parity import check_parity
from perennial.training.pipeline import fit
from perennial.training.scoring import score
from perennial.training.split import split


def write(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def proposed(path: Path, label: str) -> Proposal:
    """The proposal for the file."""
    return propose(path, label, "made")


def catalog_of(proposal: Proposal) -> tuple[Contract, ModelSpec]:
    """Contract and spec, parsed as the catalog parses them."""
    return parse_contract(proposal.contract, "contracts/made.yaml"), parse_model(proposal.model, "models/made.yaml")


def accepted(path: Path, contract: Contract) -> tuple[Sifted, pa.Table]:
    """What ingestion makes of the file, and the rows it keeps. Nothing of the file may be refused."""
    with tempfile.TemporaryDirectory() as folder:
        found = sift(path, path.name, contract, Path(folder))
        assert found.refusal is None, found.refusal
        assert found.quarantined == 0, found.findings.report()
        tables = [pq.ParquetFile(part.path).read() for part in found.parts]
    return found, pa.concat_tables(tables)


def trained(contract: Contract, spec: ModelSpec, table: pa.Table) -> list[Evidence]:
    """Train, convert, hold the graph against the pipeline, and judge the gates; their records."""
    with threadpool_limits(limits=1):
        features = features_of(spec, contract)
        sides = split(to_rows(table, spec, features, contract.event_time), spec.train.split.holdout, spec.train.seed)
        pipeline = fit(spec, features, sides.train.features, sides.train.label, spec.train.seed)
        model = export(pipeline, features, spec.task)
        check_parity(pipeline, model, features, sides.train.features, sides.train.label, spec.task)
    held = sides.holdout
    days = None if held.time is None else held.time.astype("datetime64[D]")
    scored = Scored(held.label, score(Graph(model), held.features), blocks_of(days, len(held)))
    return bound_gates(spec.gates, measure(spec.task, scored))


def served(path: Path, label: str) -> Proposal:
    """A proposal whose file is accepted whole, whose training works and whose gates pass."""
    proposal = proposed(path, label)
    contract, spec = catalog_of(proposal)
    sifted, table = accepted(path, contract)
    assert sifted.accepted >= spec.train.when.min_rows
    gates = trained(contract, spec, table)
    assert all(gate["passed"] for gate in gates), gates
    return proposal


def sales(rows: int, seed: int = 1) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of a made-up table with awkward names, an unnamed first column, gaps and a leak."""
    rng = np.random.default_rng(seed)
    header = ["", "Auftrag Nr", "Datum", "größe (cm)", "Farbe des Möbels", "premium?", "plz", "leer", "konst"]
    header += ["Lieferstatus", "Preis €", "status_code"]
    made = []
    for index in range(rows):
        size, color = round(float(rng.normal(100, 20)), 1), str(rng.choice(["rot", "grün", "weiß"]))
        premium = bool(rng.random() < 0.4)
        strength = size / 20 - 5 + 2 * (color == "rot") + premium + rng.normal() * 0.7
        state = "spät" if strength > 2 else "pünktlich" if strength > 0 else "früh"
        price = round(10 + strength * 25 + float(rng.normal()) * 5, 2)
        day = f"{1 + index * 28 // rows:02d}.03.2024"
        shown = size if rng.random() > 0.1 else "NA"
        painted = color if rng.random() > 0.05 else ""
        code = f"0{rng.integers(1000, 1020)}"
        flag = str(premium).lower()
        made.append([index, 10000 + index, day, shown, painted, flag, code, "", "x", state, price, state[0].upper()])
    return header, made
