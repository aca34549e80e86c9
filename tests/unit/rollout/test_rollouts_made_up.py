"""What the judge's simulations are made of: the rollouts, and the alarms that stand beside the judge in its bench."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from perennial.rollout.error_tests import Counts
from scripts.benchmarks import judge as bench
from scripts.benchmarks.alarms import REPEATED_Z_TEST, THRESHOLD_ALARM, over_threshold, z_test
from scripts.benchmarks.rollouts import AT_TEN_PERCENT, JUDGE, PLAN, Rule, Traffic, runs


def test_rollouts_are_the_same_in_one_process_and_in_several() -> None:
    traffic = Traffic(10, 0.02, 3.0)
    alone = runs(PLAN, traffic, 6)
    assert runs(PLAN, traffic, 6, processes=2) == alone
    assert runs(PLAN, traffic, 6, seed=1) != alone
    assert len({end.requests for end in alone}) > 1


def test_errors_swing_about_their_rate_in_both_versions_alike() -> None:
    traffic = Traffic(10, 0.02, swing=0.8)
    rates = [traffic.errors(at) for at in range(0, 12_600, 100)]
    assert min(rates) == pytest.approx(0.004, rel=0.01)
    assert max(rates) == pytest.approx(0.036, rel=0.01)
    assert sum(rates) / len(rates) == pytest.approx(0.02, rel=0.01)


def test_the_alarm_sees_only_the_challenger_and_the_test_only_the_difference() -> None:
    bad_hour = Counts(0.1, 1000, 60, 9000, 540)  # 6 % of both fail
    assert (over_threshold(bad_hour), z_test(bad_hour)) == (True, False)
    twice = Counts(0.1, 1000, 40, 9000, 180)
    assert (over_threshold(twice), z_test(twice)) == (False, True)
    nothing = Counts(0.1, 0, 0, 0, 0)
    assert (over_threshold(nothing), z_test(nothing)) == (False, False)
    # 3.4 % against 2 %: z = 0.014 / √(0.0214·0.9786·(1/1000 + 1/9000)) = 2.90; at 3 % it is 2.10
    assert z_test(Counts(0.1, 1000, 34, 9000, 180))
    assert not z_test(Counts(0.1, 1000, 30, 9000, 180))


@pytest.mark.parametrize("rule", [THRESHOLD_ALARM, REPEATED_Z_TEST])
def test_the_other_rules_go_through_all_steps_by_the_clock(rule: Rule) -> None:
    plan = replace(PLAN, dwell=150)
    (clean,) = runs(plan, Traffic(100, 0.0), 1, rule)
    assert clean.decision.verdict == "promote"
    assert clean.decision.reason == f"no harm in {150 * len(plan.steps)} seconds"
    (broken,) = runs(plan, Traffic(100, 0.1, 10.0), 1, rule)
    assert broken.decision.verdict == "rollback"
    assert broken.requests < 100 * 70  # at the first minute


def test_looking_every_minute_costs_the_z_test_its_level() -> None:
    ends = {
        rule: Counter(end.decision.verdict for end in runs(PLAN, Traffic(10, 0.02), 200, rule))
        for rule in (JUDGE, REPEATED_Z_TEST)
    }
    assert ends[REPEATED_Z_TEST]["rollback"] > 10  # of 2, were it to look once
    assert ends[JUDGE]["rollback"] <= 4


def test_the_bench_has_a_row_for_each_scenario_and_rule() -> None:
    rows = list(bench.run(lambda _: None, 4))
    assert len(rows) == len(bench.SCENARIOS) * len(bench.PEERS)
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.ratio is None and row.met is not None for row in rows)
    assert {row.unit for row in rows} == {"%", "requests"}


def test_what_is_mostly_not_found_has_no_median() -> None:
    ends = runs(replace(AT_TEN_PERCENT, dwell=60), Traffic(10, 0.0), 3, REPEATED_Z_TEST)
    assert bench.requests_to_rollback(ends) == float("inf")
    assert (bench.promoted(ends), bench.rolled_back(ends)) == (100.0, 0.0)
