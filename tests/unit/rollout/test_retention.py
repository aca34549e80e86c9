from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perennial.rollout.retention import superfluous


@given(st.sets(st.integers(1, 60)), st.integers(2, 12), st.sets(st.integers(1, 60)))
def test_what_goes_is_old_unnamed_and_not_the_templates(numbers: set[int], newest: int, named: set[int]) -> None:
    versions = [str(number) for number in sorted(numbers)]
    gone = superfluous(versions, newest, {str(number) for number in named})
    kept = [version for version in versions if version not in gone]
    assert kept[:1] == versions[:1]
    assert kept[-newest:] == versions[-newest:]
    assert {str(number) for number in numbers & named} <= set(kept)
    # and nothing else is kept
    assert set(kept) <= {*versions[:1], *versions[-newest:], *(str(number) for number in named)}
