"""A map from a new space into an old one, as a manifest names it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.manifest import FileRef


@dataclass(frozen=True, slots=True)
class MappedPartition:
    """What a map was measured to give in one partition.

    Attributes:
        partition: ``text/paragraph``.
        rows: Sampled units, with vectors in both spaces, that it was measured over.
        recalls: recall@10 of mapped queries in the old vectors, of what is nearest in the new ones, by kind of query:
            ``rows`` (held out of the fit), ``general`` (questions about anything), ``asked`` (those of the
            configuration).
        before: The same of the old encoder's own queries: what the old index shows of the new neighbours unmapped.
        calibration: What mapped background questions find, see stages/route/calibrate.py.
    """

    partition: str
    rows: int
    recalls: dict[str, float]
    before: dict[str, float]
    calibration: dict[str, float]


@dataclass(frozen=True, slots=True)
class SpaceMap:
    """Carries queries of a new space into an old one, whose indices they search until there are new ones.

    Attributes:
        source: Key of the space that queries are embedded in.
        target: Key of the space whose indices they search.
        file: npy, float32 [dim of source + 1, dim of target]: a query times all rows but the last, plus the last,
            of length 1 again where `normalised`.
        normalised: Whether vectors of the target have length 1.
        method: How it was fitted, e.g. ``procrustes``.
        sample_rows: Pairs of vectors it was fitted to.
        partitions: What it gives in each partition of the target, ascending.
    """

    source: str
    target: str
    file: FileRef
    normalised: bool
    method: str
    sample_rows: int
    partitions: tuple[MappedPartition, ...]
