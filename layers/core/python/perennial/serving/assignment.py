"""Which rows of an experiment go to which arm: by a hash of their entity, so that an entity always meets the same one.

`experiment.json` of a bundle with two versions says who takes part:

    {"champion": {"version", "sha256"}, "challenger": {"version", "sha256"}, "share", "entity": [input names], "salt"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from perennial.errors import BundleInvalid
from perennial.serving.bundle import DESIGN
from perennial.serving.signature import Signature
from perennial.serving.strict_json import load

CHAMPION, CHALLENGER = "champion", "challenger"
ARMS = (CHAMPION, CHALLENGER)
MAX_DESIGN_BYTES = 64 * 1024
MAX_SALT = 64  # what blake2b takes as key

# Shares are whole ten-thousandths; a bucket is that part of a hash, so its probability is that of every other one to
# within 10⁻¹⁵.
BUCKETS = 10_000


class Arm(NamedTuple):
    """A model version that takes part, named by the digest of its manifest."""

    version: int
    sha256: str


class Design(NamedTuple):
    """Who takes part, and how rows are assigned: a share of the entities, in (0, 1), to the challenger."""

    champion: Arm
    challenger: Arm
    share: float
    entity: tuple[str, ...]
    salt: str

    def propensity(self, arm: str) -> float:
        """The probability with which an entity meets an arm."""
        return self.share if arm == CHALLENGER else 1 - self.share

    def arms(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[str | None]:
        """The arm of each row, from its values as sent; None for one that takes no part, as its entity is not known."""
        split = parts(self.share)
        key, entities = self.salt.encode(), entity_keys(columns, self.entity, rows)
        return [
            None if one is None else CHALLENGER if bucket(key, one) < split else CHAMPION
            for one in entities
        ]  # fmt: skip


def parts(share: float) -> int:
    """How many of the buckets are the challenger's."""
    return round(share * BUCKETS)


def checked_share(share: float) -> float:
    """`share` itself. Raises ValueError unless it is between 0 and 1, in whole ten-thousandths."""
    if not 0 < share < 1 or parts(share) / BUCKETS != share:
        raise ValueError(f"share {share!r} is not between 0 and 1, in steps of {1 / BUCKETS}")
    return share


def bucket(salt: bytes, entity: str) -> int:
    """The bucket of an entity, 0 … BUCKETS − 1: fixed by salt and entity, on any machine."""
    return int.from_bytes(blake2b(entity.encode(), digest_size=8, key=salt).digest(), "big") % BUCKETS


def entity_keys(columns: Mapping[str, Sequence[Any]], entity: Sequence[str], rows: int) -> list[str | None]:
    """Each row's entity in canonical form: JSON of its values, a number the same however it is written (7, 7.0).

    None where one of them is missing.
    """
    values = [columns[name] for name in entity]
    return [_canonical([column[row] for column in values]) for row in range(rows)]


def _canonical(values: list[Any]) -> str | None:
    for place, value in enumerate(values):
        if value is None:
            return None
        if type(value) is float and value.is_integer():
            values[place] = int(value)
    return json.dumps(values, separators=(",", ":"))


def mismatch(champion: Signature, challenger: Signature, entity: Sequence[str]) -> str | None:
    """Why no experiment can have these two versions and this entity; None when it can."""
    for what, ours, theirs in (
        ("tasks", champion.task, challenger.task),
        ("inputs", champion.inputs, challenger.inputs),
        ("classes", champion.metadata_outputs(), challenger.metadata_outputs()),
    ):
        if ours != theirs:
            return f"champion and challenger differ in their {what}: no request is for both"
    names = {one["name"] for one in champion.inputs}
    return next((f"entity {name!r} is no input of the model" for name in entity if name not in names), None)


def design_bytes(design: Design) -> bytes:
    """The content of experiment.json: equal designs, equal bytes."""
    arms = {name: getattr(design, name)._asdict() for name in ARMS}
    value = {**arms, "share": design.share, "entity": list(design.entity), "salt": design.salt}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def parse_design(content: bytes) -> Design:
    """The design in the bytes of experiment.json. Raises BundleInvalid."""
    try:
        value = load(content)
        if set(value) != {*ARMS, "share", "entity", "salt"}:
            raise ValueError("must have exactly champion, challenger, share, entity and salt")
        champion, challenger = (_arm(value[name]) for name in ARMS)
        share, entity, salt = value["share"], value["entity"], value["salt"]
        if type(share) is not float:
            raise ValueError(f"share {share!r} is no fraction")
        checked_share(share)
        if type(salt) is not str or not 0 < len(salt.encode()) <= MAX_SALT:
            raise ValueError(f"salt must be text of 1 to {MAX_SALT} bytes")
        if type(entity) is not list or not entity or not all(type(name) is str for name in entity):
            raise ValueError("entity must name inputs")
        if champion.version == challenger.version:
            raise ValueError("champion and challenger are the same version")
    except (ValueError, TypeError, KeyError) as error:
        raise BundleInvalid(f"{DESIGN}: {type(error).__name__}: {error}") from error
    return Design(champion, challenger, share, tuple(entity), salt)


def _arm(value: Any) -> Arm:
    if set(value) != set(Arm._fields) or type(value["version"]) is not int or type(value["sha256"]) is not str:
        raise ValueError("an arm has exactly version and sha256")
    return Arm(**value)
