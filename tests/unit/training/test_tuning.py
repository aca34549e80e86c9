"""The search for parameters: what is drawn, on which rows candidates are compared, and which one is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from perennial.catalog.train import Tune
from perennial.errors import CatalogInvalid, TrainingDataInvalid
from perennial.training.split import split
from perennial.training.tuning import Search, choose, draw, halve, places, search, shares, with_params
from tests.unit.training.made import rows_of, spec_of, table

SPACE: dict[str, list[Any]] = {"max_iter": [1, 5, 20], "max_leaf_nodes": [2, 4, 8], "learning_rate": [0.05, 0.2, 1e-6]}


def tune_of(space: dict[str, list[Any]] | None = None, **given: Any) -> Tune:
    return Tune.model_validate({"space": space or SPACE, **given})


def searched(task: str = "binary", seed: int = 5, **changes: Any) -> Search:
    """A search on the training side of the made rows."""
    spec = spec_of("hist_gradient_boosting", task, train={"algorithm": "hist_gradient_boosting"} | changes)
    features, rows = rows_of(spec, table(1500))
    return search(spec, features, split(rows, 0.2, seed).train, seed, {})


def halved(found: Search, tune: Tune, chunk: int = 0) -> dict[str, Any]:
    with threadpool_limits(limits=1):
        return halve(found, tune, chunk)


@given(st.integers(2, 81), st.integers(0, 2**31 - 1), st.lists(st.integers(1, 9), min_size=1, max_size=16))
def test_combinations_are_drawn_once_each_and_always_the_same(candidates: int, seed: int, sizes: list[int]) -> None:
    tune = tune_of({f"p{place}": list(range(size)) for place, size in enumerate(sizes)}, candidates=candidates)
    drawn = draw(tune, seed)
    assert drawn == draw(tune, seed)
    assert len(drawn) == min(candidates, int(np.prod([float(size) for size in sizes])))
    assert len({tuple(sorted(one.items())) for one in drawn}) == len(drawn)
    assert all(one[f"p{place}"] < size for one in drawn for place, size in enumerate(sizes))


def test_seeds_draw_differently() -> None:
    assert draw(tune_of(), 1) != draw(tune_of(), 2)


@pytest.mark.parametrize(("candidates", "expected"), [(1, [1]), (3, [1]), (4, [2, 1]), (9, [2, 1]), (81, [4, 3, 2, 1])])
def test_rounds_grow_threefold_to_a_third_of_the_rows(candidates: int, expected: list[int]) -> None:
    assert shares(candidates) == pytest.approx([3.0**-power for power in expected])


@given(st.integers(0, 1000), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_shares_are_whole_days_and_contain_the_smaller_ones(seed: int, one: float, other: float) -> None:
    _, rows = rows_of(spec_of("ridge", "regression"))
    place = places(rows, seed)
    assert rows.time is not None
    days = rows.time.astype("datetime64[D]")
    small, large = place < min(one, other), place < max(one, other)
    assert set(days[small]).isdisjoint(days[~small])
    assert (large[small]).all()
    assert small.any()
    # of 10 equal days
    assert small.mean() == pytest.approx(np.ceil(round(10 * min(one, other), 9)) / 10)


def test_without_event_times_equal_rows_are_used_together() -> None:
    _, rows = rows_of(spec_of("ridge", "regression"))
    rows = replace(rows, time=None)
    place = places(rows, 3)
    assert sorted(place) == pytest.approx(np.arange(len(rows)) / len(rows))
    backwards = np.arange(len(rows))[::-1]
    turned = replace(rows, features=rows.features.iloc[backwards].reset_index(drop=True), label=rows.label[backwards])
    assert set(rows.label[place < 0.3]) == set(turned.label[places(turned, 3) < 0.3])


def test_each_round_keeps_the_better_third_and_says_what_the_others_scored() -> None:
    found = halved(searched(), tune_of(candidates=9))
    assert [(one["candidates"], one["days"]) for one in found["rounds"]] == [(9, 1), (3, 2)]
    assert found["rounds"][0]["rows"] < found["rounds"][1]["rows"]
    first = [one["scores"][0] for one in found["candidates"]]
    kept = [place for place, one in enumerate(found["candidates"]) if len(one["scores"]) == 2]
    assert sorted(kept) == sorted(np.argsort(-np.array(first), kind="stable")[:3])
    assert found["best"] == max(kept, key=lambda place: found["candidates"][place]["scores"][1])


def test_the_better_parameters_are_taken() -> None:
    # of one that learns and four that hardly do
    space: dict[str, list[Any]] = {"max_iter": [30], "learning_rate": [1e-6, 1e-5, 0.1, 1e-7, 1e-8]}
    for task in ("binary", "multiclass", "regression"):
        found, tune = searched(task), tune_of(space, candidates=5)
        best, record = choose(found, tune, [halved(found, tune)])
        assert best == {"max_iter": 30, "learning_rate": 0.1}
        assert (record["chosen"], record["combinations"]) == (best, 5)
    assert record["metric"] == "rmse"


def test_the_comparison_s_metric_decides() -> None:
    spec = spec_of("hist_gradient_boosting", "binary", comparison={"metric": "log_loss"})
    features, rows = rows_of(spec)
    assert search(spec, features, rows, 1, {}).metric == "log_loss"
    assert searched().metric == "auc"


def test_the_same_search_twice_is_the_same() -> None:
    assert halved(searched(), tune_of(candidates=5)) == halved(searched(), tune_of(candidates=5))


@pytest.mark.parametrize("tasks", [2, 4, 12])
def test_chunks_share_the_candidates_and_the_best_of_theirs_is_taken(tasks: int) -> None:
    found, tune = searched(), tune_of(candidates=9, tasks=tasks)
    chunks = [halved(found, tune, chunk) for chunk in range(tasks)]
    tried = [one["params"] for chunk in chunks for one in chunk["candidates"]]
    assert sorted(map(str, tried)) == sorted(map(str, draw(tune, found.seed)))
    best, _ = choose(found, tune, chunks)
    finals = [chunk["candidates"][chunk["best"]]["scores"][-1] for chunk in chunks if chunk["best"] is not None]
    winner = next(chunk for chunk in chunks if best in [one["params"] for one in chunk["candidates"]])
    assert winner["candidates"][winner["best"]]["scores"][-1] == max(finals)
    # all finals on the same rows, or the best of them would be the luckiest
    assert len({chunk["rounds"][-1]["rows"] for chunk in chunks if chunk["rounds"]}) == 1


def test_a_parameter_that_there_is_not_is_named() -> None:
    with pytest.raises(CatalogInvalid, match="max_leaf'"):
        halved(searched(), tune_of({"max_leaf": [1, 2]}, candidates=2))


def test_found_parameters_stand_beside_the_given_ones() -> None:
    spec = spec_of("hist_gradient_boosting", "binary")
    assert with_params(spec, {"l2_regularization": 1.0}).train.params == {**spec.train.params, "l2_regularization": 1.0}


def test_last_days_of_one_class_cannot_compare() -> None:
    spec = spec_of("hist_gradient_boosting", "binary")
    features, rows = rows_of(spec)
    label = rows.label.copy()
    label[300:] = 0
    with pytest.raises(TrainingDataInvalid, match=r"train\.tune cannot compare candidates: .* one class only"):
        search(spec, features, replace(rows, label=label), 1, {})


def test_a_class_that_the_first_days_lack_counts_as_an_error_and_breaks_nothing() -> None:
    spec = spec_of("hist_gradient_boosting", "multiclass")
    features, rows = rows_of(spec, table(1500))
    label = rows.label.copy()
    label[:750] = np.minimum(label[:750], 1)
    found = search(spec, features, replace(rows, label=label), 1, {})
    chunk = halved(found, tune_of(candidates=3))
    assert all(0 < one["scores"][-1] < 1 for one in chunk["candidates"])
