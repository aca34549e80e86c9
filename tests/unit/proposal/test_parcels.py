"""The second shipped example: what `init` proposes for its first month is what ships, but for what review tightened."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from perennial.catalog.load import read_catalog
from perennial.proposal.propose import Proposal
from scripts.parcels import months
from tests.unit.proposal.support import accepted, catalog_of, trained
from tests.unit.proposal.support import proposed as proposal_for

CATALOG = Path(__file__).parents[3] / "infra" / "examples" / "parcels"
SHIPPED = read_catalog(CATALOG)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return months(tmp_path_factory.mktemp("parcels"))


@pytest.fixture(scope="module")
def proposal(files: list[Path]) -> Proposal:
    return proposal_for(files[0], "outcome")


def test_the_data_are_the_same_bytes_everywhere(files: list[Path]) -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert digest == "0af9fe60a8ee79d781ff4b4df084b4a0923b2c57c412089a85a201494f2fc46d"


def test_the_shipped_contract_is_the_proposed_one_but_for_its_rules(proposal: Proposal) -> None:
    found, shipped = catalog_of(proposal)[0], SHIPPED.contract("parcels")
    told = [(column.name, column.type, column.available_at_prediction) for column in found.columns]
    assert told == [(column.name, column.type, column.available_at_prediction) for column in shipped.columns]
    assert found.event_time == shipped.event_time == "handed over at"


def test_the_shipped_model_is_the_proposed_one(proposal: Proposal) -> None:
    # how it is rolled out is for a person to say
    own = {"name", "dataset", "description", "owner", "rollout"}
    found, shipped = catalog_of(proposal)[1], SHIPPED.model("parcels")
    assert found.model_dump(exclude=own) == shipped.model_dump(exclude=own)


def test_every_month_is_accepted_whole(proposal: Proposal, files: list[Path]) -> None:
    for path in files:
        for contract in (SHIPPED.contract("parcels"), catalog_of(proposal)[0]):
            assert accepted(path, contract)[0].accepted == 2500


def test_the_first_month_trains_a_model_that_passes_its_gates(files: list[Path]) -> None:
    contract, spec = SHIPPED.contract("parcels"), SHIPPED.model("parcels")
    [gate] = trained(contract, spec, accepted(files[0], contract)[1])
    assert gate["passed"], gate
