"""Which segments of an index stay when rows came and went, and which are built anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.config import Indexing


@dataclass(frozen=True, slots=True)
class Standing:
    """A published segment as it is now: `rows` in its file, `live` of them as they still are in the tables."""

    rows: int
    live: int


@dataclass(frozen=True, slots=True)
class Increment:
    """What to do with each published segment.

    Attributes:
        kept: Positions of those that stay as they are, with tombstones for what left them.
        moved: Positions of those whose live rows go into the new segments, together with the new rows.
    """

    kept: tuple[int, ...]
    moved: tuple[int, ...]


def plan_increment(
    standing: Sequence[Standing], new_rows: int, config: Indexing, *, expunge: bool = False
) -> Increment:
    """Tiers as in Lucene's TieredMergePolicy and log-structured merge trees (O'Neil et al. 1996).

    New rows become one segment. A segment moves into it when too many of its rows are deleted, when it is below
    `merge_floor_rows`, or when there are `merge_segments` of no more than its size already: so a row moves about
    log(rows / floor) times to the base of `merge_segments`, and searches ask few segments. Segments of `segment_rows`
    and more stay.

    Args:
        standing: The published segments, in the manifest's order.
        new_rows: Rows that are new or changed.
        config: Thresholds.
        expunge: Leave no tombstone: a segment that lost a row is written anew.
    """
    moved = {i for i, s in enumerate(standing) if not _can_stay(s, config, expunge=expunge)}
    if new_rows or any(standing[i].live for i in moved):
        small = {i for i, s in enumerate(standing) if s.live < config.merge_floor_rows}
        moved |= small
        moved |= _crowd(standing, new_rows, moved, config)
    kept = tuple(i for i in range(len(standing)) if i not in moved)
    return Increment(kept, tuple(sorted(moved)))


def _can_stay(segment: Standing, config: Indexing, *, expunge: bool) -> bool:
    deleted = segment.rows - segment.live
    if not segment.live or (expunge and deleted):
        return False
    return deleted <= config.deleted_share * segment.rows


def _crowd(
    standing: Sequence[Standing], new_rows: int, moved: set[int], config: Indexing
) -> set[int]:
    """Segments that must move because the new one would be one too many of its tier."""
    more: set[int] = set()
    while True:
        size = new_rows + sum(standing[i].live for i in moved | more)
        tier = _tier(size, config)
        beside = {
            i
            for i, s in enumerate(standing)
            if i not in moved | more
            and s.live < config.segment_rows
            and _tier(s.live, config) <= tier
        }
        if len(beside) < config.merge_segments:
            return more
        more |= beside


def _tier(rows: int, config: Indexing) -> int:
    floor = max(1, config.merge_floor_rows)
    return 0 if rows <= floor else math.floor(math.log(rows / floor, config.merge_segments)) + 1
