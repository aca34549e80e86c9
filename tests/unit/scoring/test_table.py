"""A table is scored as HTTPS scores its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import ScoringFailed
from perennial.scoring import score_table
from perennial.scoring.table import CHUNK
from perennial.serving.bundle import verify
from perennial.serving.predictor import Predictor
from tests.unit.serving.bundles import bundle_files, write_bundle
from tests.unit.serving.requests import RELAXED, Server, outputs, request

TYPES = {"distance": pa.float64(), "hour": pa.int64(), "night": pa.bool_(), "carrier": pa.string()}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "distance": st.none() | st.floats(-3e38, 3e38, allow_nan=False),
            "hour": st.none() | st.integers(-(2**63), 2**63 - 1),
            "night": st.none() | st.booleans(),
            "carrier": st.none() | st.sampled_from(["AA", "UA", "", "é\x00", "never seen"]),
        }
    ),
    min_size=1,
    max_size=20,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()})


def predictor(folder: Path, *what: Any, **more: Any) -> Predictor:
    return Predictor(verify(write_bundle(folder, bundle_files(*what, **more))))


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, Predictor]:
    classes: dict[str, Any] = {"binary": (0, 1), "multiclass": ("early", "on time", 'la"te\u2028'), "regression": None}
    files = bundle_files(request.param, classes[request.param])
    server = Server(tmp_path_factory.mktemp("served"), files)
    return server, predictor(tmp_path_factory.mktemp("scored"), request.param, classes[request.param])


@RELAXED
@given(ROWS)
def test_a_table_is_answered_as_its_rows_are_over_https(
    both: tuple[Server, Predictor], rows: list[dict[str, Any]]
) -> None:
    server, scorer = both
    status, reply = server.infer(request(*rows))
    answered = outputs(reply) if status == 200 else {}
    if status != 200:  # weights beyond float32: both refuse
        with pytest.raises(ScoringFailed):
            score_table(scorer, table(rows))
        return
    found = score_table(scorer, table(rows))
    if scorer.signature.classes is None:
        assert np.array_equal(
            np.array(found["prediction"].to_pylist(), np.float32), np.array(answered["prediction"], np.float32)
        )
        return
    assert found["prediction"].to_pylist() == answered["prediction"]
    probability = np.array(found["probability"].to_pylist(), np.float32).ravel()
    assert np.array_equal(probability, np.array(answered["probability"], np.float32).ravel())


def test_chunks_slices_and_dictionaries_do_not_show(tmp_path: Path) -> None:
    scorer, rng = predictor(tmp_path), np.random.default_rng(7)
    count = 2 * CHUNK + 5
    rows = [
        {"distance": float(d), "hour": None if d > 900 else 7, "night": d > 500, "carrier": "UA" if d > 300 else None}
        for d in rng.integers(0, 1000, count)
    ]
    whole = table(rows)
    scored = score_table(scorer, whole)
    assert scored.num_rows == count
    cut = score_table(scorer, whole.slice(CHUNK - 3, 10))
    assert cut.to_pylist() == scored.slice(CHUNK - 3, 10).to_pylist()
    place = whole.schema.get_field_index("carrier")
    coded = whole.set_column(place, "carrier", whole["carrier"].dictionary_encode())
    assert score_table(scorer, coded).equals(scored)
    narrow = whole.set_column(whole.schema.get_field_index("hour"), "hour", whole["hour"].cast(pa.int8()))
    assert score_table(scorer, narrow).equals(scored)
    assert score_table(scorer, whole.slice(0, 0)).schema.equals(scored.schema)
    assert score_table(scorer, pa.concat_tables([whole, whole])).num_rows == 2 * count


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("carrier", pa.array([1]), "column 'carrier' is int64; the model takes BYTES"),
        ("night", pa.array(["no"]), "column 'night' is string; the model takes BOOL"),
        ("hour", pa.array(["7"]), "column 'hour' is string; the model takes INT64"),
        ("distance", pa.array([1e39]), "column 'distance' holds a number that is out of the range of float32"),
        ("distance", None, "column 'distance', which the model takes, is missing"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_column(
    tmp_path: Path, name: str, column: pa.Array | None, reason: str
) -> None:
    scorer = predictor(tmp_path)
    one = table([{"distance": 1.0, "hour": 7, "night": False, "carrier": "UA"}])
    place = one.schema.get_field_index(name)
    changed = one.remove_column(place) if column is None else one.set_column(place, name, column)
    with pytest.raises(ScoringFailed, match=reason):
        score_table(scorer, changed)


def test_a_graph_that_answers_no_number_fails_by_name(tmp_path: Path) -> None:
    scorer = predictor(tmp_path, "regression", None, fault=True)  # 1 / distance
    with pytest.raises(ScoringFailed, match="row 0 with no finite number"):
        score_table(scorer, table([{"distance": 0.0, "hour": 7, "night": False, "carrier": "UA"}] * 2))
