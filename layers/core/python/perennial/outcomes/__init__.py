"""Outcomes: what turned out to be true of predictions, and what it was worth."""

from perennial.outcomes.join import join_outcomes
from perennial.outcomes.labels import label_of
from perennial.outcomes.record import Outcome
from perennial.outcomes.store import Outcomes, read_outcomes, write_outcomes

__all__ = ["Outcome", "Outcomes", "join_outcomes", "label_of", "read_outcomes", "write_outcomes"]
