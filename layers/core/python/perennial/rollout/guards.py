"""What may end a rollout besides errors: scoring time, answers that can be none, scores unlike any expected.

Each guard is a test with an α of its own that may be asked at every look; none of them can promote. Observations of all
steps are counted together: unlike those of errors, their hypotheses do not depend on who gets which share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

from perennial.catalog.rollout import Errors, Latency, Outputs, RolloutSpec, Scores
from perennial.rollout.bounded_tests import PARTS, mean_of, over
from perennial.rollout.error_tests import Counts, more_errors
from perennial.rollout.judge import Guard
from perennial.rollout.observed import Seen
from perennial.rollout.scores import Spread, score_of

# The same answer to nine of ten pairs of different questions may still be a coarse model.
_SAME = 0.9
# Of probabilities; float32 sums of a forest come out a little above 1.
_ROUNDING = 1e-6


def guards_of(spec: RolloutSpec, seen: Sequence[Seen], offline: Spread | None) -> list[Guard]:
    """Every guard's word on what was seen. `offline` are the challenger's scores of held-out rows, where it has any."""
    found = [_latency(spec.latency, seen), _outputs(spec.outputs, seen, offline)]
    if spec.latency.slo_ms is not None:
        found.append(_slo(spec.latency, seen, spec.latency.slo_ms))
    if offline is not None:
        found.append(_scores(spec.scores, seen, offline))
    return found


def unanswered(spec: Errors, steps: Sequence[Counts], seen: Sequence[Sequence[Seen]]) -> Guard:
    """Calls that left no prediction in the log, whatever became of them: does the challenger have more of its share?

    A version that refuses what callers send has neither errors nor records. Bad requests, questions that are no
    predictions, records that were lost and those beyond what is read come to both versions alike, so that the exact
    test of errors holds for them too. `steps` and `seen` are of the same windows.
    """
    missing = [_without_answer(step, window) for step, window in zip(steps, seen, strict=True)]
    mine, theirs = sum(step.errors for step in missing), sum(step.champion_errors for step in missing)
    reason = f"{mine} of its requests were not answered, {theirs} of the champion's"
    evidence = {"unanswered": mine, "champion_unanswered": theirs}
    return Guard("answers", more_errors(missing), spec.alpha, reason, evidence)


def _without_answer(step: Counts, window: Sequence[Seen]) -> Counts:
    answered = sum(one.challenger for one in window)
    return replace(
        step,
        errors=max(0, step.requests - answered),
        champion_errors=max(0, step.champion_requests - (len(window) - answered)),
    )


def _latency(spec: Latency, seen: Sequence[Seen]) -> Guard:
    """Warm requests of both versions in pairs of about as many rows, in order: is the challenger's slower by more than
    the ratio more often than not? Cold calls are counted apart, since a small share of requests has more of them.

    The half of the pairs that speaks least for it, environment by environment, has to show it: those on slow hosts are
    no fault of the version as long as others answer half of its requests.
    """
    warm = [one for one in seen if not one.cold]
    environments = _by_environment(spec, pairs(warm))
    slower = sum(environments, Counter[float]())
    times = {word: [one.score_us for one in warm if one.challenger is mine] for word, mine in _ARMS}
    evidence = {
        "pairs": slower.total(),
        "slower": slower[1.0],
        "environments": len(environments),
        "median_us": {word: median(values) if values else None for word, values in times.items()},
        "cold": {word: sum(one.cold for one in seen if one.challenger is mine) for word, mine in _ARMS},
    }
    reason = (
        f"slower than {spec.ratio:g} times the champion in {slower[1.0]} of {slower.total()} pairs of warm requests"
    )
    return Guard("latency", _least_half(environments), spec.alpha, reason, evidence)


def _by_environment(spec: Latency, paired: Iterable[tuple[Seen, Seen]]) -> list[Counter[float]]:
    """Of each environment of the challenger, whether its requests were the slower ones. Those with too few to tell by
    themselves count as one.
    """
    found: dict[str, Counter[float]] = {}
    for mine, theirs in paired:
        found.setdefault(mine.environment, Counter())[float(mine.score_us > spec.ratio * theirs.score_us)] += 1
    grown: list[Counter[float]] = []
    young = Counter[float]()
    for one in found.values():
        if over({1.0: one.total()}, 0.5) < -math.log(spec.alpha):
            young += one
        else:
            grown.append(one)
    return [*grown, young] if young else grown


def _least_half(environments: Sequence[Counter[float]]) -> float:
    """Logarithm of an e-value against "those that answer half of the requests are not slower": whichever these are,
    together they have gained at least what the half with the least gain per pair has, once that has gained anything.
    """
    return mean_of(_gain(environments, part / 0.5) for part in PARTS)


def _gain(environments: Sequence[Counter[float]], bet: float) -> float:
    """Logarithm of what the bet gained from the half of the pairs on which it gained least."""
    gains = [
        (sum(count * math.log1p(bet * (x - 0.5)) for x, count in one.items()), one.total()) for one in environments
    ]
    left, gained = sum(pairs for _, pairs in gains) / 2, 0.0
    for gain, count in sorted(gains, key=lambda one: one[0] / one[1]):
        gained += gain * min(1.0, left / count)
        left = max(0.0, left - count)
    return gained


_ARMS = (("challenger", True), ("champion", False))


def _slo(spec: Latency, seen: Sequence[Seen], limit_ms: float) -> Guard:
    late = Counter(float(one.score_us > 1000 * limit_ms) for one in seen if one.challenger and not one.cold)
    reason = f"{late[1.0]} of {late.total()} warm requests took longer than {limit_ms:g} ms to score"
    return Guard("slo", over(late, spec.over), spec.alpha, reason, {"warm": late.total(), "late": late[1.0]})


def _outputs(spec: Outputs, seen: Sequence[Seen], offline: Spread | None) -> Guard:
    """Answers that can be none, and the same answer to different questions (unless it was so on held-out rows)."""
    mine = [one for one in seen if one.challenger]
    strange = Counter(float(_is_strange(one.outputs, offline)) for one in mine)
    asked = [one for one in mine if one.inputs is not None]
    same = Counter(float(a.outputs == b.outputs) for a, b in pairwise(asked) if a.inputs != b.inputs)
    coarse = offline is not None and max(offline.counts) > _SAME * sum(offline.counts)
    beyond, constant = over(strange, spec.rate), 0.0 if coarse else over(same, _SAME)
    evidence = {"answers": strange.total(), "strange": strange[1.0], "different": same.total(), "same": same[1.0]}
    reason = f"{strange[1.0]} of {strange.total()} answers are beyond all bounds"
    if constant > beyond:
        reason = f"the same answer to {same[1.0]} of {same.total()} pairs of different questions"
    return Guard("outputs", mean_of((beyond, constant)), spec.alpha, reason, evidence)


def _is_strange(outputs: Sequence[float], offline: Spread | None) -> bool:
    """No probability; or a number further from all those of held-out rows than these are from each other."""
    if len(outputs) > 1:
        return any(not -_ROUNDING <= value <= 1 + _ROUNDING for value in outputs)
    if offline is None or offline.high <= offline.low:
        return False
    span = offline.high - offline.low
    return not offline.low - span <= outputs[0] <= offline.high + span


def _scores(spec: Scores, seen: Sequence[Seen], offline: Spread) -> Guard:
    """Scores further than the margin from the challenger's own on held-out rows *and* from the champion's of the same
    time.

    A retrained model may score unlike its champion, and requests may be unlike held-out rows: neither is a fault. The
    lesser of two e-values is one against "either is near".
    """
    mine = [score_of(one.outputs) for one in seen if one.challenger]
    both = [(score_of(one.outputs), score_of(other.outputs)) for one, other in pairs(seen)]
    own = mean_of(_beyond_own(mine, offline, spec.margin))
    others = mean_of(_beyond_others(both, offline.edges, spec.margin))
    evidence: dict[str, Any] = {"scores": len(mine), "pairs": len(both), "log_e_own": own, "log_e_champion": others}
    reason = (
        f"scores are more than {spec.margin:g} (Kolmogorov distance) from its own on held-out rows, "
        "and from the champion's of the same time"
    )
    return Guard("scores", min(own, others), spec.alpha, reason, evidence)


def _beyond_own(scores: Sequence[float], offline: Spread, margin: float) -> Iterator[float]:
    for edge, share in zip(offline.edges, offline.shares_up_to(), strict=True):
        below = sum(score <= edge for score in scores)
        above = len(scores) - below
        # a bound of 1 or more cannot be passed
        yield over({1.0: below, 0.0: above}, share + margin) if share + margin < 1 else 0.0
        yield over({1.0: above, 0.0: below}, 1 - share + margin) if 1 - share + margin < 1 else 0.0


def _beyond_others(both: Sequence[tuple[float, float]], edges: Sequence[float], margin: float) -> Iterator[float]:
    for edge in edges:
        differences = Counter(float(mine <= edge) - float(theirs <= edge) for mine, theirs in both)
        yield over(differences, margin, -1.0)
        yield over({-value: count for value, count in differences.items()}, margin, -1.0)


def pairs(seen: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Requests of the challenger, each with the champion's of about as many rows (within a factor of two) that came
    last before it or first after it: what moves both versions in time moves both of a pair.
    """
    waiting: dict[int, Seen] = {}
    for one in seen:
        other = waiting.get(one.rows.bit_length())
        if other is None or other.challenger is one.challenger:
            waiting[one.rows.bit_length()] = one
            continue
        del waiting[one.rows.bit_length()]
        yield (one, other) if one.challenger else (other, one)
