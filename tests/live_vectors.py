"""All vectors of a partition beside their units, in memory: what is streamed and indexed is compared with it."""

import numpy as np
import pyarrow as pa

from infra.lake import Lake
from infra.lake.hexkeys import HexKeys
from infra.lake.inputs import has_input
from infra.lake.read import LakeView
from infra.lake.vectors import gather
from schemas.partition import Partition
from schemas.space import InputColumn


def live_vectors(
    lake: Lake | LakeView, space_key: str, partition: Partition, input_column: InputColumn
) -> tuple[pa.Table, np.ndarray]:
    """Units by unit_id and their vectors, float32 [rows, dim]; without those that have no such input or were rejected.

    [0, 0] while the space has no table.

    Raises:
        IntegrityError: Units have neither vector nor reject; says how many.
    """
    view = lake.view() if isinstance(lake, Lake) else lake
    units = view.live_units(partition)
    units = units.filter(has_input(input_column))
    vectors = view.find_vectors(space_key, partition, HexKeys.of(units[input_column]))
    missing = units["unit_id"].filter(pa.array(~vectors.found))
    view.require_rejected(missing, space_key, partition)
    return units.filter(pa.array(vectors.found)), gather(vectors)
