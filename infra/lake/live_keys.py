"""Which units are live, as numbers: what a stream of them is sorted and cut by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.lake.hexkeys import HexKeys

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import pyarrow as pa

KEY_COLUMNS: Final = ["unit_id", "input_hash"]


@dataclass(frozen=True, slots=True)
class LiveKeys:
    """Units of a stream in the order of unit_id, each once. About 40 bytes a unit.

    Attributes:
        units: unit_id, ascending.
        inputs: input_hash of each.
        rows: Number of each unit's first row in the stream, int64 [n].
        streamed: Rows of the stream, repeats included.
    """

    units: HexKeys
    inputs: HexKeys
    rows: np.ndarray
    streamed: int

    def __len__(self) -> int:
        """How many units there are."""
        return len(self.rows)

    @classmethod
    def read(cls, stream: Iterable[pa.RecordBatch]) -> LiveKeys:
        """Of batches that have `KEY_COLUMNS`.

        Raises:
            IntegrityError: An id is not made of 32 hex digits.
        """
        parts = [tuple(HexKeys.of(batch.column(name)) for name in KEY_COLUMNS) for batch in stream]
        units, inputs = (HexKeys.joined([part[i] for part in parts]) for i in range(2))
        order = units.order()
        ascending = units.take(order)
        first = ascending.firsts()
        rows = order[first]
        return cls(ascending.take(first), inputs.take(rows), rows, len(units))

    def take(self, chosen: np.ndarray) -> LiveKeys:
        """Those where the mask is set, bool [n]."""
        units, inputs = self.units.take(chosen), self.inputs.take(chosen)
        return LiveKeys(units, inputs, self.rows[chosen], self.streamed)

    def only(self, wanted: HexKeys) -> LiveKeys:
        """Those among `wanted`, which ascend."""
        return self.take(wanted.holds(self.units))
