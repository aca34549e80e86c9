"""What a version was on its held-out rows, kept in the record of its evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perennial.monitoring.reference import read_reference, refer
from scripts.benchmarks.served import Days

ROWS = Days().draw(20, np.random.default_rng(3))


def test_it_survives_its_json() -> None:
    found = refer("binary", ROWS.label, ROWS.answers, ROWS.days)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert len(text) < 32_000
    again = read_reference(json.loads(text))
    assert (again.rows, again.days, again.metrics, again.harm) == (len(ROWS), 20, found.metrics, found.harm)
    assert found.calibrator is not None
    assert again.calibrator is not None
    likely = found.calibrator.probabilities(ROWS.answers)
    assert again.calibrator.probabilities(ROWS.answers) == pytest.approx(likely, abs=1e-5)


def test_what_there_cannot_be_is_null() -> None:
    found = refer("regression", ROWS.label.astype(float), ROWS.answers[:, 1:], None)
    assert (found.days, found.harm, found.calibrator) == (0, None, None)
    assert set(found.metrics) == {"rmse", "mae", "r2"}
    again = read_reference(json.loads(json.dumps(found.to_json())))
    assert (again.harm, again.calibrator) == (None, None)


def test_many_classes_one_of_them_unknown() -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(-1, 3, size=len(ROWS))
    answers = rng.dirichlet([1, 1, 1], size=len(ROWS))
    found = refer("multiclass", label, answers, ROWS.days)
    assert found.harm is not None
    assert found.harm.scale.errors == pytest.approx([2 / 3] * 3, abs=0.05)
    again = read_reference(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again.harm == found.harm
    nobody = refer("multiclass", np.full(len(ROWS), -1), answers, ROWS.days)
    assert nobody.harm is None
