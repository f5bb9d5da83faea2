"""Which vectors there are already: nothing is embedded twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.desk import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.desk import Want
    from infra.lake import Lake
    from schemas.space import Embedding


class WrittenVectors:
    """Contents that have a vector in the lake, or in a batch on its way, by partition and space.

    Args:
        lake: As it is when the run begins; its writer tells of what comes after.
        spaces: Keys of the spaces.
    """

    def __init__(self, lake: Lake, spaces: Iterable[str]) -> None:
        self._lake = lake
        self._written = {key: lake.embedded(key) for key in spaces}

    def has(self, want: Want) -> bool:
        """Whether this content has its vector in this partition."""
        return _row(want) in self._written[want.key.space]

    def add(self, want: Want) -> None:
        """It is in a batch."""
        self._written[want.key.space].add(_row(want))

    def recall(self, wants: Sequence[Want]) -> dict[Key, Embedding]:
        """Vectors of contents that were embedded before, though for units of another partition.

        One that is on its way into the lake right now is not found, and embedded again.
        """
        known: dict[str, list[str]] = {}
        for want in wants:
            if self._written[want.key.space].anywhere(want.key.input_hash):
                known.setdefault(want.key.space, []).append(want.key.input_hash)
        return {
            Key(space, input_hash): vector
            for space, hashes in known.items()
            for input_hash, vector in self._lake.view().vectors_of(space, hashes).items()
        }


def _row(want: Want) -> tuple[str, str, str]:
    partition = want.unit.partition
    return (partition.modality, partition.granularity, want.key.input_hash)
