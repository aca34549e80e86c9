from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.errors import LedgerBroken
from perennial.governance.ledger import Ledger
from perennial.governance.records import Record, digest, object_key
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.crash import When, crash_at

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with fresh_account() as account:
        yield Ledger(Objects(account.bucket("ledger")), Items(account.table("registry")))


def append(ledger: Ledger, key: str, subject: str = "model/late", **evidence: Any) -> int:
    return ledger.append(subject, "accepted", key=key, at=AT, actor="ingest", evidence=evidence)


def test_records_are_numbered_and_carry_the_hash_of_the_one_before(ledger: Ledger) -> None:
    assert [append(ledger, key) for key in "abc"] == [1, 2, 3]
    records = list(ledger.read("model/late"))
    bodies = [ledger.objects.get(object_key("model/late", seq)) for seq in (1, 2, 3)]
    assert [record.previous for record in records] == ["", digest(bodies[0]), digest(bodies[1])]
    assert bodies == [record.to_bytes() for record in records]
    assert records[0].at == "2026-03-01T12:00:00+00:00"


def test_a_key_is_recorded_once_whatever_it_says_the_second_time(ledger: Ledger) -> None:
    assert [append(ledger, "a", rows=1), append(ledger, "b"), append(ledger, "a", rows=2)] == [1, 2, 1]
    assert ledger.get("model/late", 1).evidence == {"rows": 1}
    assert ledger.head("model/late") == 2


def test_a_record_is_found_by_its_key(ledger: Ledger) -> None:
    append(ledger, "b")
    append(ledger, "a", passed=True)
    found = ledger.find("model/late", "a")
    assert found is not None
    assert (found.seq, found.evidence) == (2, {"passed": True})
    assert ledger.find("model/late", "c") is None
    assert ledger.find("model/other", "a") is None


def test_subjects_have_chains_of_their_own(ledger: Ledger) -> None:
    assert [
        append(ledger, "a", "model/late"),
        append(ledger, "a", "model/later"),
        append(ledger, "a", "dataset/late"),
    ] == [1, 1, 1]
    assert ledger.verify().ok
    assert [chain.records for chain in ledger.verify().chains] == [1, 1, 1]


@pytest.mark.parametrize("subject", ["late", "model/", "model/a/b", "Model/late", "model/a\n"])
def test_a_subject_that_would_break_the_keys_is_refused(ledger: Ledger, subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        append(ledger, "a", subject)


def test_a_naive_time_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="zone"):
        ledger.append("model/m", "failed", key="a", at=AT.replace(tzinfo=None), actor="x", evidence={})


@pytest.mark.parametrize("writers", [12, pytest.param(50, marks=pytest.mark.full)])
def test_concurrent_writers_leave_no_gap_and_no_double(ledger: Ledger, writers: int) -> None:
    # given every key written by two writers at once
    with ThreadPoolExecutor(writers) as pool:
        numbers = list(pool.map(lambda i: append(ledger, f"k{i % (writers // 2)}"), range(writers)))
    # then each key has one number, and the numbers are 1…n
    half = writers // 2
    assert numbers[:half] == numbers[half:]
    assert sorted(numbers[:half]) == list(range(1, half + 1))
    report = ledger.verify()
    assert report.ok, report.problems
    assert [chain.records for chain in report.chains] == [half]


def test_a_lost_hint_does_not_matter(ledger: Ledger) -> None:
    append(ledger, "a")
    append(ledger, "b")
    ledger.items.delete("LEDGER#model/late", "HEAD")
    assert append(ledger, "c") == 3


@pytest.mark.parametrize("when", ["before-send", "after-call"])
@pytest.mark.parametrize("number", range(1, 10))
def test_an_append_that_died_and_was_overtaken_is_finished_by_a_retry(ledger: Ledger, number: int, when: When) -> None:
    # given a ledger with a record, and an append that dies at its n-th call
    append(ledger, "first")
    with crash_at(number, when):
        append(ledger, "crashed")
    # when another goes on meanwhile, and the append is repeated
    append(ledger, "other")
    seq = append(ledger, "crashed")
    # then it is there once, and the chain is whole
    assert ledger.get("model/late", seq).key == "crashed"
    assert sorted(record.key for record in ledger.read("model/late")) == ["crashed", "first", "other"]
    assert ledger.verify().ok


def test_a_record_cannot_follow_one_that_is_gone(ledger: Ledger) -> None:
    append(ledger, "a")
    ledger.objects.delete(object_key("model/late", 1))
    with pytest.raises(LedgerBroken, match="record 1 is missing"):
        append(ledger, "b")


def tampered(record: Record, **changes: Any) -> bytes:
    return record.model_copy(update=changes).to_bytes()


@pytest.mark.parametrize(
    ("key", "change", "what"),
    [
        ("00000002.json", {"evidence": {"rows": 9}}, "does not carry the hash"),
        ("00000002.json", {"seq": 3}, "is record 3"),
        ("00000002.json", {"subject": "model/other"}, "is a record of subject"),
        ("00000002.json", {"previous": "0" * 64}, "does not carry the hash"),
        ("00000002.json", {"fact": "blessed"}, "unknown fact"),
    ],
)
def test_verify_finds_a_changed_record(ledger: Ledger, key: str, change: dict[str, Any], what: str) -> None:
    for name in "abc":
        append(ledger, name)
    ledger.objects.put(f"model/late/{key}", tampered(ledger.get("model/late", 2), **change))
    report = ledger.verify()
    assert not report.ok
    assert any(what in problem for problem in report.problems), report.problems


@pytest.mark.parametrize(("gone", "what"), [(1, "is missing"), (2, "is missing"), (3, "the chain ends at 2")])
def test_verify_finds_a_removed_record(ledger: Ledger, gone: int, what: str) -> None:
    for name in "abc":
        append(ledger, name)
    ledger.objects.delete(object_key("model/late", gone))
    problems = ledger.verify("model/late").problems
    assert len(problems) == 1
    assert problems[0].startswith(object_key("model/late", gone))
    assert what in problems[0]


def test_verify_finds_a_chain_that_is_gone_altogether(ledger: Ledger) -> None:
    append(ledger, "a")
    ledger.objects.delete(object_key("model/late", 1))
    assert not ledger.verify("model/late").ok


@pytest.mark.parametrize("key", ["stranger.txt", "model/late/00000002.json.bak", "model/late/2.json"])
def test_verify_finds_strangers(ledger: Ledger, key: str) -> None:
    append(ledger, "a")
    ledger.objects.put(key, b"{}")
    assert ledger.verify().problems == [f"{key}: is not a ledger record's key"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a":1}', b"\xff"])
def test_verify_finds_what_is_no_record(ledger: Ledger, body: bytes) -> None:
    ledger.objects.put(object_key("model/late", 1), body)
    assert not ledger.verify().ok
