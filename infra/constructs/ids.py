"""Ids of constructs that are called after names of the catalog."""

from __future__ import annotations

from constructs import Construct


def child_id(scope: Construct, *words: str) -> str:
    """`late-parcels` → `LateParcels`, the id of a child to be made in `scope`.

    With a dot where the scope has a child of that id for itself, as a database has one beside the table `database`.
    """
    name = "".join(part.title() for word in words for part in word.split("-"))
    return f"{name}." if scope.node.try_find_child(name) else name
