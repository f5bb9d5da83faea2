"""What the tables have now against what a published index has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from infra.lake.hexkeys import HexKeys
from infra.match import match
from infra.spill import ROWS
from schemas.errors import IntegrityError
from stages.index.increment import Standing
from stages.index.segments import open_rows
from stages.index.tombstones import read_tombstones

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.segment_store import SegmentStore
    from infra.lake.live_keys import LiveKeys
    from infra.lake.read import LakeView
    from infra.match import Matched
    from infra.spill import Wanted
    from schemas.manifest import IndexManifest


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How an index will come about, as far as rows tell.

    That it grows can end otherwise: where recall, the lists or the queries have drifted, it is built anew after all.

    Attributes:
        start: ``new``, ``stays``, ``grows`` or ``anew``.
        why: In words; empty where `start` says it all.
        new_rows: New or changed ones.
        gone_rows: That could be found and cannot be any more, changed ones among them.
        kept_segments: Published segments that stay.
        moved_segments: Those whose live rows go into the new ones.
    """

    start: Literal["new", "stays", "grows", "anew"]
    why: str = ""
    new_rows: int = 0
    gone_rows: int = 0
    kept_segments: int = 0
    moved_segments: int = 0


@dataclass(frozen=True)
class Change:
    """What became of the rows of a published index.

    Attributes:
        rows: Of each of its segments the mapped rows.arrow.
        deleted: Of each the rows that did not count when it was published, bool [rows].
        matched: What of them still holds, and which live units are new or changed.
    """

    rows: Sequence[pa.Table]
    deleted: Sequence[np.ndarray]
    matched: Matched

    @property
    def live(self) -> Sequence[np.ndarray]:
        """Of each segment the rows that stand in the tables as they are here, bool [rows]."""
        return self.matched.kept

    @cached_property
    def is_nothing(self) -> bool:
        """Whether the published index has exactly the rows that there are."""
        pairs = zip(self.deleted, self.live, strict=True)
        return not len(self.matched.fresh) and all((mask != gone).all() for gone, mask in pairs)

    @property
    def kept_rows(self) -> int:
        """Rows that could be found before and still can, as they were."""
        pairs = zip(self.deleted, self.live, strict=True)
        return sum(int((mask & ~gone).sum()) for gone, mask in pairs)

    @property
    def standing(self) -> list[Standing]:
        """For planning the increment."""
        return [Standing(len(mask), int(mask.sum())) for mask in self.live]

    def gone(self) -> pa.Array:
        """Ids that could be found before and cannot be any more, or stand otherwise now."""
        parts = [
            rows["unit_id"].combine_chunks().filter(pa.array(~deleted & ~live))
            for rows, deleted, live in zip(self.rows, self.deleted, self.live, strict=True)
        ]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())

    def to_build(self, moved: Sequence[int]) -> LiveKeys:
        """The units that need a new segment: live ones of these segments, and all new ones."""
        parts = [
            HexKeys.of(self.rows[i]["unit_id"].combine_chunks().filter(pa.array(self.live[i])))
            for i in moved
        ]
        joined = HexKeys.joined([*parts, self.matched.fresh.units])
        return self.matched.live.only(joined.take(joined.order()))


def compare(view: LakeView, store: SegmentStore, wanted: Wanted, base: IndexManifest) -> Change:
    """Compare a partition's live rows with a published index of it, without reading a vector."""
    rows, deleted = [], []
    for segment in base.segments:
        paths = store.paths(segment)
        rows.append(_rows(paths.rows))
        gone = read_tombstones(paths.deleted, segment.rows) if paths.deleted else None
        deleted.append(np.zeros(segment.rows, dtype=bool) if gone is None else gone)
    units = view.stream_units(wanted.partition, ROWS.names, wanted.input_column)
    return Change(rows, deleted, match(rows, units))


def _rows(path: Path) -> pa.Table:
    try:
        return open_rows(path)
    except IntegrityError as error:
        raise IntegrityError(f"{error}: gristmill verify --repair") from error
