"""Stage feedback from outside: requests and files in; outcomes, quarantine, ledger and facts out."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.feedback.handler import lambda_handler
from perennial.outcomes import Outcome, Outcomes, door, dropped, entries, read_outcomes
from perennial.outcomes.events import OUTCOMES_ACCEPTED, OUTCOMES_REFUSED
from perennial.storage.bus import Bus
from tests.functions.conftest import EVENTS, World
from tests.unit.outcomes.catalog import CONTRACT, DAYS, KEPT

IDS = "2013-04-01-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SENT = datetime(2013, 4, 1, 9, 3, 58, 123000, tzinfo=UTC)  # of the sample request
DROPPED = datetime(2013, 2, 1, 5, 0, 7, tzinfo=UTC)  # of the sample file


@pytest.fixture
def ready(world: World) -> World:
    files = {"contracts/orders.yaml": CONTRACT, "models/days.yaml": DAYS, "models/kept.yaml": KEPT}
    world.deploy_catalog(extra=files)
    return world


def sample(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / "feedback.json").read_text("utf-8"))
    return found | changes


def post(body: Any, model: str = "days", **changes: Any) -> tuple[int, Any]:
    """Status and answer of a request."""
    text = body if isinstance(body, str) else json.dumps(body)
    reply = lambda_handler(sample(rawPath=f"/v2/models/{model}/feedback", body=text) | changes, None)
    return reply["statusCode"], json.loads(reply["body"])


def say(*outcomes: Any, model: str = "days") -> tuple[int, Any]:
    return post({"outcomes": list(outcomes)}, model)


def by_id(row: int = 0, outcome: Any = 3.5, **more: Any) -> dict[str, Any]:
    return {"prediction_id": f"{IDS}-{row}", "outcome": outcome, **more}


def by_entity(customer: Any = "Ada", shop: Any = 7, **more: Any) -> dict[str, Any]:
    about = {"customer": customer, "shop": shop}
    return {"entity": about, "event_time": "2013-03-31T10:00:00Z", "outcome": 3.5, **more}


def recorded(world: World, model: str = "days", at: datetime = SENT) -> Outcomes:
    return read_outcomes(world.data, model, at.date(), at.date())


def drop(world: World, name: str, body: bytes, model: str = "days") -> dict[str, Any]:
    return lambda_handler(world.drop(f"feedback/{model}/{name}", body), None)


def report(world: World, answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.data.get_json(answer["report_key"])
    return found


# ---- by request


def test_the_sample_request_is_recorded_in_the_shipped_catalog(world: World) -> None:
    reply = lambda_handler(sample(), None)
    assert (reply["statusCode"], json.loads(reply["body"])) == (200, {"accepted": 2, "duplicates": 0})
    assert list(recorded(world, "flight-delays")) == [
        Outcome(23.0, datetime(2013, 4, 1, 8, 41, tzinfo=UTC), SENT, prediction_id=f"{IDS}-0"),
        Outcome(-4.0, SENT, SENT, prediction_id=f"{IDS}-1"),
    ]


def test_both_kinds_in_one_request(ready: World) -> None:
    said = [by_entity(at="2013-04-01T10:00+02:00"), by_id(1, 2), by_entity("Böb", 3, amount=-7), by_id(0, amount=1e3)]
    assert say(*said) == (200, {"accepted": 4, "duplicates": 0})
    happened = datetime(2013, 3, 31, 10, tzinfo=UTC)
    ada: dict[str, Any] = {"customer": "Ada", "shop": 7}
    bob: dict[str, Any] = {"customer": "Böb", "shop": 3}
    expected = [
        Outcome(3.5, SENT, SENT, prediction_id=f"{IDS}-0", amount=1000.0),
        Outcome(2.0, SENT, SENT, prediction_id=f"{IDS}-1"),
        Outcome(3.5, datetime(2013, 4, 1, 8, tzinfo=UTC), SENT, entity=ada, event_time=happened),
        Outcome(3.5, SENT, SENT, entity=bob, event_time=happened, amount=-7.0),
    ]
    assert sorted(recorded(ready), key=repr) == sorted(expected, key=repr)


def test_the_same_request_again_adds_nothing_and_is_told_of_again(ready: World) -> None:
    said = [by_id(row) for row in range(3)]
    assert say(*said) == (200, {"accepted": 3, "duplicates": 0})
    assert say(*reversed(said), said[0]) == (200, {"accepted": 0, "duplicates": 4})
    assert len(list(ready.data.list("outcomes/"))) == 1
    assert len(recorded(ready)) == 3
    first, again = (event["detail"] for event in ready.facts(OUTCOMES_ACCEPTED))
    assert first["batch"] == again["batch"]
    assert first | {"outcomes": 4} == again
    assert (first["model"], first["outcomes"], first["quarantined"]) == ("days", 3, 0)


def test_what_stands_is_what_was_observed_last(ready: World) -> None:
    say(by_id(0, 9, at="2013-04-01T08:00:00Z"))
    say(by_id(0, 1, at="2013-04-01T07:00:00Z"))
    found = recorded(ready)
    assert ([one.outcome for one in found], found.conflicts) == ([9.0], 1)


def test_a_label_of_another_type(ready: World) -> None:
    assert say(by_id(0, True), by_id(1, False), model="kept")[0] == 200
    assert [one.outcome for one in recorded(ready, "kept")] == [True, False]
    assert say(by_id(0, "perhaps"), model="kept")[0] == 400


def test_what_is_refused_is_not_recorded(ready: World) -> None:
    for body in ("", '{"outcomes": [', {"outcomes": [by_id(), by_id(1, "much")]}, {"outcomes": [by_id(amout=3)]}):
        assert post(body)[0] == 400
    assert post('{"outcomes": [{"outcome": NaN}]}')[1]["error"].startswith("the body is not JSON: NaN is not JSON")
    assert not list(ready.data.list("outcomes/"))
    assert not ready.facts()


def test_limits_and_ways_of_asking(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert say(by_id(), model="nobody") == (404, {"error": "there is no model 'nobody'"})
    assert post("{}", rawPath="/v2/models/days/feedback/more")[0] == 404
    context = sample()["requestContext"]
    reply = lambda_handler(sample(requestContext=context | {"http": {"method": "GET"}}), None)
    assert (reply["statusCode"], reply["headers"]["allow"]) == (405, "POST")
    encoded = base64.b64encode(json.dumps({"outcomes": [by_id()]}).encode()).decode()
    assert post(encoded, isBase64Encoded=True)[0] == 200
    assert post("%%", isBase64Encoded=True) == (400, {"error": "the body is not text in UTF-8"})
    assert post(base64.b64encode(b"\xff").decode(), isBase64Encoded=True)[0] == 400
    monkeypatch.setattr(entries, "MAX_ENTRIES", 2)
    assert say(*[by_id(row) for row in range(3)])[0] == 413
    monkeypatch.setattr(door, "MAX_BODY", 10)
    assert say(by_id())[0] == 413


def test_a_passing_fault_is_a_503_and_the_next_try_finishes(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        from perennial.errors import StorageUnavailable

        def fail(*_: Any) -> None:
            raise StorageUnavailable("the bus is out of order")

        patch.setattr(Bus, "put", fail)
        status, answer = say(by_id())
    assert (status, answer) == (503, {"error": "try again: the bus is out of order"})
    assert say(by_id()) == (200, {"accepted": 0, "duplicates": 1})
    assert [event["detail"]["outcomes"] for event in ready.facts(OUTCOMES_ACCEPTED)] == [1]


# ---- by file

CSV = f"""prediction_id,outcome,amount,at
{IDS}-0,3.5,,
{IDS}-1,much,9,
{IDS}-2,-2,9,
,4,9,
{IDS}-3,n/a,9,
{IDS}-4,5,12.5,2013-01-31T10:00:00
""".encode()


def test_the_sample_event_finds_its_object_gone(world: World) -> None:
    event = json.loads((EVENTS / "feedback-file.json").read_text("utf-8"))
    event["detail"]["bucket"]["name"] = world.data.bucket
    answer = lambda_handler({"detail": event["detail"], "as_of": event["time"]}, None)
    assert (answer["status"], answer["reason"]) == ("ignored", "the object is gone")
    assert answer["model"] == "flight-delays"


def test_good_rows_are_recorded_and_bad_ones_go_to_quarantine(ready: World) -> None:
    answer = drop(ready, "march.csv", CSV)
    assert (answer["status"], answer["outcomes"], answer["quarantined"]) == ("accepted", 2, 4)
    assert list(recorded(ready, at=DROPPED)) == [
        Outcome(3.5, DROPPED, DROPPED, prediction_id=f"{IDS}-0"),
        Outcome(5.0, datetime(2013, 1, 31, 10, tzinfo=UTC), DROPPED, prediction_id=f"{IDS}-4", amount=12.5),
    ]
    told = report(ready, answer)
    assert (told["file"], told["rows"], told["quarantined"]) == ("feedback/days/march.csv", 6, 4)
    assert [(one["row"], one["line"], one["column"], one["rule"]) for one in told["problems"]] == [
        (2, 3, "outcome", "type"),
        (3, 4, "outcome", "minimum"),
        (4, 5, "prediction_id", "required"),
        (5, 6, "outcome", "required"),
    ]
    assert answer["report_key"] == f"quarantine/_feedback/days/{answer['batch']}/report.json"
    rows = pq.read_table(io.BytesIO(ready.data.get(answer["report_key"].replace("report.json", "rows.parquet"))))
    assert rows["outcome"].to_pylist() == ["much", "-2", "4", None]
    (fact,) = ready.facts(OUTCOMES_ACCEPTED)
    assert (fact["detail"]["outcomes"], fact["detail"]["quarantined"]) == (2, 4)
    (record,) = ready.ledger.read("feedback/days")
    assert (record.fact, record.evidence["outcomes"], record.evidence["quarantined"]) == ("accepted", 2, 4)
    assert ready.ledger.find("feedback/days", f"feedback/{answer['batch']}/accepted") == record


def test_a_repeated_event_adds_nothing(ready: World) -> None:
    message = ready.drop("feedback/days/march.csv", CSV)
    first = lambda_handler(message, None)
    kept = {entry.key: entry.etag for entry in ready.data.entries("")}
    assert lambda_handler(message, None) == first
    assert {entry.key: entry.etag for entry in ready.data.entries("")} == kept
    assert ready.ledger_facts("feedback/days") == ["accepted"]


def test_what_was_said_by_request_and_then_by_file_stands_once(ready: World) -> None:
    say(*[by_id(row, row) for row in range(3)])
    body = "prediction_id,outcome\n" + "".join(f"{IDS}-{row},{row}\n" for row in range(2, 5))
    assert drop(ready, "late.csv", body.encode())["outcomes"] == 3
    both = read_outcomes(ready.data, "days", DROPPED.date(), SENT.date())
    assert [one.outcome for one in both] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (both.repeats, both.conflicts) == (1, 0)


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


ROW = {"prediction_id": f"{IDS}-0", "outcome": 3.5}
WHO = {"customer": "Ada", "shop": 7, "event_time": "2013-01-31T10:00:00Z", "outcome": 3.5}


KINDS = {
    "a.jsonl": lines(ROW),
    "a.jsonl.gz": gzip.compress(lines(ROW)),
    "a.csv.gz": gzip.compress(f"outcome,prediction_id\n3.5,{IDS}-0\n".encode()),
    "a.parquet": parquet([ROW]),
    "who.jsonl": lines(WHO),
    "who.csv": b"event_time,shop,customer,outcome\n2013-01-31 10:00:00,7,Ada,3.5\n",
    "who.parquet": parquet([WHO | {"event_time": datetime(2013, 1, 31, 10, tzinfo=UTC)}]),
}


def test_any_kind_of_file_says_the_same(ready: World) -> None:
    for name, body in KINDS.items():
        assert drop(ready, name, body)["outcomes"] == 1, name
    assert len(list(ready.data.list("outcomes/"))) == 2
    happened = datetime(2013, 1, 31, 10, tzinfo=UTC)
    assert list(recorded(ready, at=DROPPED)) == [
        Outcome(3.5, DROPPED, DROPPED, prediction_id=f"{IDS}-0"),
        Outcome(3.5, DROPPED, DROPPED, entity={"customer": "Ada", "shop": 7}, event_time=happened),
    ]


NONE: list[tuple[str, str, bytes, str]] = [
    ("days", "a.csv", b"prediction_id,outcome,amout\n", "columns: wrong columns; unexpected: 'amout'"),
    ("days", "b.csv", b"customer,outcome\nAda,3\n", "columns: wrong columns; missing: 'shop', 'event_time'"),
    ("days", "c.csv", b"prediction_id,outcome\n", "empty: the file has no rows"),
    ("days", "d.csv", b"prediction_id,outcome\n7,3\n", "noGoodRows: none of 1 rows keeps the contract"),
    ("days", "e.csv", b"", "empty: the file is empty"),
    ("days", "f.xlsx", b"PK\x03\x04", "kind: 'f.xlsx': the name must end in"),
    ("days", "g.parquet", b"PAR1 and no more", "unreadable"),
    ("days", "h.jsonl", b"[1]\n", "empty: no line is a JSON object with keys"),
    ("days", "i.csv.gz", gzip.compress(CSV)[:-20], "truncated"),
    ("kept", "j.csv", b"customer,shop,event_time,outcome\n", "model 'kept' names no entity in its spec"),
    ("kept", "k.csv", b"prediction_id,outcome,amount\n", "model 'kept' names no amount_unit in its spec"),
    ("nobody", "l.csv", CSV, "modelUnknown: the key names no model"),
    ("No Name", "m.csv", CSV, "modelUnknown: the key names no model"),
]


def test_a_file_that_is_none_goes_to_quarantine_whole(ready: World) -> None:
    told = []
    for model, name, body, reason in NONE:
        answer = drop(ready, name, body, model)
        assert (answer["status"], reason in answer["reason"]) == ("refused", True), answer
        assert report(ready, answer)["reason"] == answer["reason"]
        assert ready.data.get(answer["report_key"].replace("report.json", name)) == body
        told.append((model if model != "No Name" else "_unknown", f"feedback/{model}/{name}", answer["reason"]))
    assert not list(ready.data.list("outcomes/"))
    details = [event["detail"] for event in ready.facts(OUTCOMES_REFUSED)]
    assert sorted((one["model"], one["key"], one["reason"]) for one in details) == sorted(told)
    counts = Counter(model for model, _, _ in told)
    assert {model: ready.ledger_facts(f"feedback/{model}") for model in counts} == {
        model: ["refused"] * count for model, count in counts.items()
    }


def test_what_is_no_data_is_passed_over(ready: World) -> None:
    for name in ("_SUCCESS", ".hidden/a.csv", "folder/"):
        assert drop(ready, name, CSV)["status"] == "ignored"
    foreign = ready.drop("feedback/days/a.csv", CSV)
    foreign["detail"]["bucket"]["name"] = "another"
    assert lambda_handler(foreign, None)["reason"] == "another bucket's event"
    assert not list(ready.data.list("outcomes/"))


def test_an_overwritten_file_is_judged_by_its_own_event(ready: World) -> None:
    first = ready.drop("feedback/days/a.csv", CSV)
    del first["detail"]["object"]["version-id"]
    ready.drop("feedback/days/a.csv", CSV + b"more")
    assert lambda_handler(first, None)["reason"] == "the object was overwritten; its own event follows"


def test_a_large_file_is_read_in_pieces(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "MAX_LINES", 1000)
    rows = b"".join(f"{IDS}-{row},{row}\n".encode() for row in range(2500))
    message = ready.drop("feedback/days/large.csv", b"prediction_id,outcome\n" + rows)
    assert lambda_handler(message, None)["outcomes"] == 2500
    keys = list(ready.data.list("outcomes/days/"))
    assert len(keys) == 3
    lambda_handler(message, None)
    assert list(ready.data.list("outcomes/days/")) == keys
    assert len(recorded(ready, at=DROPPED)) == 2500


def test_dates_of_arrival_part_the_outcomes(ready: World) -> None:
    say(by_id())
    (key,) = ready.data.list("outcomes/")
    assert key.startswith("outcomes/days/date=2013-04-01/")
    late = sample()["requestContext"] | {"timeEpoch": int((SENT + timedelta(days=1)).timestamp() * 1000)}
    assert post({"outcomes": [by_id()]}, requestContext=late) == (200, {"accepted": 1, "duplicates": 0})
    assert len(read_outcomes(ready.data, "days", date(2013, 4, 1), date(2013, 4, 2))) == 1
