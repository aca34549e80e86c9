"""What the demo takes for a job done, on made-up observations: each one that is not fails by its reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from scripts import checks, walkthrough
from scripts.cli.output import Failure

VERSIONS = [
    {"version": 1, "rows": 10, "quarantined": 0},
    {"version": 2, "rows": 18, "quarantined": 2},
]
RUN = {"name": "one", "status": "SUCCEEDED", "why": "None: None"}
REQUESTS = {"count": 1500, "auc": 0.7}
FACTS = ["requested", "trained", "gated", "registered", "deployed"]


def test_a_job_that_was_done_passes() -> None:
    checks.every_row_is_kept(VERSIONS, [20, 10])
    checks.trained_once([RUN], 1)
    checks.predictions_are_honest(REQUESTS, [])
    checks.story_is_complete(FACTS)
    checks.in_time(240.0)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (lambda: checks.every_row_is_kept(VERSIONS[:1], [20, 10]), "2 files became the versions"),
        (lambda: checks.every_row_is_kept(VERSIONS, [20, 11]), "files of .* rows became versions of"),
        (lambda: checks.every_row_is_kept(VERSIONS, [10, 10]), "files of .* rows became versions of"),
        (lambda: checks.trained_once([], 1), "not 0"),
        (lambda: checks.trained_once([RUN, RUN], 1), "not 2"),
        (lambda: checks.trained_once([RUN | {"status": "FAILED", "why": "GateFailed: auc"}], None), "GateFailed"),
        (lambda: checks.trained_once([RUN], None), "no version became champion"),
        (lambda: checks.trained_once([RUN], 2), "the champion is version 2"),
        (lambda: checks.predictions_are_honest(REQUESTS, ["503"]), "1 of 1500 requests failed.*503"),
        (lambda: checks.predictions_are_honest(REQUESTS | {"count": 999}, []), "only 999"),
        (lambda: checks.predictions_are_honest(REQUESTS | {"auc": None}, []), "no AUC"),
        (lambda: checks.predictions_are_honest(REQUESTS | {"auc": 0.801}, []), "leaks"),
        (lambda: checks.predictions_are_honest(REQUESTS | {"auc": 0.549}, []), "learned nothing"),
        (lambda: checks.story_is_complete(FACTS[:-1]), "0 records of 'deployed'"),
        (lambda: checks.story_is_complete([*FACTS, "trained"]), "2 records of 'trained'"),
        (lambda: checks.in_time(240.1), "more than 240"),
    ],
)
def test_a_job_that_was_not_done_fails_by_its_reason(check: Callable[[], Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        check()


@pytest.mark.parametrize("text", ["{}\n[]\n", "{}\n\n[]\n\n", "\n{}\n \n[]"])
def test_blank_lines_of_the_prediction_log_are_no_records(text: str) -> None:
    assert walkthrough._lines(text.encode(), "a.jsonl") == ["{}", "[]"]
    assert walkthrough._lines(gzip.compress(text.encode()), "a.jsonl.gz") == ["{}", "[]"]
