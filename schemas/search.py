"""A question's way through the snapshot: routes, hits, result. Standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Way = Literal["routed", "unified", "oracle"]
Mode = Literal["dense", "lexical", "sparse", "hybrid"]  # vectors, words, sparse vectors, all


@dataclass(frozen=True, slots=True)
class Route:
    """A partition to ask and how much its answers count (weights of a query's routes sum to 1)."""

    partition: str
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A raw neighbour: one unit found in one index, before fusion. `similarity` is the index's own (cosine)."""

    partition: str
    space: str
    similarity: float
    unit_id: str
    source_id: str
    parent_id: str
    locator: dict[str, Any]
    text: str
    context: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer. `score` is calibrated (0..1, comparable across partitions); `locator` says where to look.

    `near_duplicate_of` is the unit_id of a better hit that looks the same (see stages/near.py), or empty. `found_by` is
    the text derived from the unit that it was found by (see docs/derived-text.md), or empty.
    """

    rank: int
    score: float
    partition: str
    path: str
    uri: str
    locator: dict[str, Any]
    text: str
    unit_id: str
    source_id: str
    near_duplicate_of: str = ""
    found_by: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What `gristmill search --json` prints."""

    snapshot: str
    routes: tuple[Route, ...]
    hits: tuple[Hit, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
