"""While one space replaces another: each partition is published in the new one as soon as it is complete there.

Until then it stays in the old one, and questions reach it by the map of the published snapshot (docs/upgrade.md).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from infra.lake.live import as_array
from infra.spill import Wanted, live_keys
from schemas.partition import ALL_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.lake.read import LakeView
    from schemas.manifest import IndexManifest, Manifest
    from schemas.partition import Partition
    from schemas.space import SpaceContract
    from schemas.space_map import SpaceMap


class Transition:
    """Which partition is to be indexed in which space.

    Without a map in the published snapshot, every partition in every space of the profile. Where the profile has the
    new space of a map, each partition is in the new one if it is complete there, else in the old one, until all are
    complete: then the map is over, and the profile alone decides again. While the profile lacks the new space, the map
    stays and nothing moves.

    Args:
        profile: What everything is embedded in.
        published: The published snapshot.
        view: Of the lake.
    """

    def __init__(
        self, profile: Sequence[SpaceContract], published: Manifest | None, view: LakeView
    ) -> None:
        known = {space.key: space for space in (*(published.spaces if published else ()), *profile)}
        self._maps = published.maps if published else ()
        self._profile = [space.key for space in profile]
        self._view = view
        named = [key for m in self._maps for key in (m.source, m.target)]
        self.spaces = tuple(known[key] for key in dict.fromkeys([*self._profile, *named]))
        self._known = known

    @cached_property
    def places(self) -> list[tuple[Partition, SpaceContract]]:
        """Partitions with their spaces, space by space.

        Raises:
            LakeError: A file of the lake is missing or broken.
        """
        return [
            (partition, space)
            for space in self.spaces
            for partition in ALL_PARTITIONS
            if space.takes(partition) and self._is_wanted(partition, space.key)
        ]

    def maps_for(self, indexes: Sequence[IndexManifest]) -> list[SpaceMap]:
        """Those by which some index is still reached."""
        there = {entry.space for entry in indexes}
        return [m for m in self._maps if m.target in there and not self._is_over(m)]

    def _is_wanted(self, partition: Partition, key: str) -> bool:
        for space_map in self._maps:
            if space_map.source not in self._profile:
                continue
            if key == space_map.source:
                return partition in self._complete[key]
            if key == space_map.target and not self._is_over(space_map):
                return partition not in self._complete[space_map.source]
        return key in self._profile

    def _is_over(self, space_map: SpaceMap) -> bool:
        complete = self._complete.get(space_map.source, frozenset())
        return complete.issuperset(ALL_PARTITIONS)

    @cached_property
    def _complete(self) -> dict[str, frozenset[Partition]]:
        """Partitions that are complete in each new space of the profile."""
        sources = {m.source for m in self._maps if m.source in self._profile}
        return {
            key: frozenset(
                p for p in ALL_PARTITIONS if is_complete(self._view, p, self._known[key])
            )
            for key in sources
        }


def is_complete(view: LakeView, partition: Partition, space: SpaceContract) -> bool:
    """Whether each unit that a space embeds has its vector there, or stands in the rejects."""
    keys = live_keys(view, Wanted(partition, space.key, space.input_column))
    if not len(keys):
        return True
    found = view.find_vectors(space.key, partition, keys.inputs).found
    if found.all():
        return True
    missing = keys.units.take(np.flatnonzero(~found)).strings()
    rejected = pc.is_in(missing, value_set=as_array(view.rejects()["unit_id"]))
    return bool(found.any() and pc.all(rejected).as_py())
