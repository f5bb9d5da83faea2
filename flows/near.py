"""Which units of a lake look the same: groups of near-duplicates, with the places to find them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from flows import wiring
from schemas.partition import IMAGE_IMAGE, PAGE_REGION
from stages.near import NEAR_BITS, distance_bits, lead_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from schemas.partition import Partition

_COLUMNS: Final = ["unit_id", "source_id", "locator", "attributes"]
_HASH: Final = "phash"
_LOOKED_AT: Final = (IMAGE_IMAGE, PAGE_REGION)  # those whose units may have a hash


@dataclass(frozen=True, slots=True)
class Look:
    """A unit that looks like others.

    Attributes:
        unit_id: Of the unit.
        partition: ``image/image``.
        source_id: What it was cut from.
        paths: Every path that its source has now.
        locator: Where in the source it is.
        bits: In which its perceptual hash differs from that of the first of its group, 0 to 64.
    """

    unit_id: str
    partition: str
    source_id: str
    paths: tuple[str, ...]
    locator: dict[str, Any]
    bits: int


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Groups of units that look the same.

    Attributes:
        units: Live units that have a perceptual hash.
        most_bits: Largest distance from the first of a group.
        groups: At least two units each; the first has the most pixels where that is known. The largest group first.
    """

    units: int
    most_bits: int
    groups: tuple[tuple[Look, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Seen:
    look: Look
    phash: str
    pixels: int


def near_duplicates(lake_url: str) -> NearDuplicates:
    """Compare the looks of all live units of a lake, pictures and figures against each other.

    Raises:
        LakeError: There is no lake, or it cannot be read.
    """
    view = wiring.open_lake(lake_url).view()
    places: dict[str, list[str]] = {}
    for row in view.live_sources().select(["source_id", "path"]).to_pylist():
        places.setdefault(row["source_id"], []).append(row["path"])
    seen = [
        unit
        for partition in _LOOKED_AT
        for unit in _hashed(view.live_units(partition, _COLUMNS), partition, places)
    ]
    seen.sort(key=_priority)
    leaders = lead_of([unit.phash for unit in seen]).tolist()
    groups: dict[int, list[Look]] = {}
    for unit, leader in zip(seen, leaders, strict=True):
        bits = distance_bits(unit.phash, seen[leader].phash)
        groups.setdefault(leader, []).append(_with_bits(unit.look, bits))
    several = [tuple(group) for group in groups.values() if len(group) > 1]
    several.sort(key=lambda group: (-len(group), group[0].paths, group[0].unit_id))
    return NearDuplicates(len(seen), NEAR_BITS, tuple(several))


def _hashed(units: pa.Table, partition: Partition, places: dict[str, list[str]]) -> Iterable[_Seen]:
    """Those units that have a perceptual hash; the others never become Python objects."""
    import pyarrow.compute as pc

    hashed = units.filter(pc.match_substring(units["attributes"], f'"{_HASH}":'))
    for row in hashed.to_pylist():
        attributes = json.loads(row["attributes"])
        phash = attributes.get(_HASH, "")
        if phash:
            look = Look(
                row["unit_id"],
                str(partition),
                row["source_id"],
                tuple(places.get(row["source_id"], ())),
                json.loads(row["locator"]),
                0,
            )
            pixels = int(attributes.get("width", 0)) * int(attributes.get("height", 0))
            yield _Seen(look, phash, pixels)


def _priority(unit: _Seen) -> tuple[int, str]:
    """The best copy leads: that with the most pixels; ids break ties, so that groups depend on nothing else."""
    return -unit.pixels, unit.look.unit_id


def _with_bits(look: Look, bits: int) -> Look:
    return Look(look.unit_id, look.partition, look.source_id, look.paths, look.locator, bits)
