"""How a space of many vectors a unit is indexed: by rule, from its units, dims and what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.errors import ConfigError
from stages.index.families import FAMILIES
from stages.index.late.codecs import CENTROIDS, PARTS
from stages.index.late.store import POOL, PREFIX
from stages.index.sizes import TRAIN_ROWS_PER_LIST, IndexPlan, lists

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.config import Indexing
    from schemas.space import SpaceContract

_FDE_SEED: Final = 20_260_101
# Dims of an encoding beyond which its partitions are projected: 20 repetitions of 32 partitions then have 16 dims each,
# as in section 3 of the paper.
_MOST_DIMS: Final = 10_240
_LEAST_BLOCK: Final = 8
_PART_DIMS: Final = 8
_CENTROIDS: Final = 256
_SAMPLE_UNITS: Final = 2000
_COPIES: Final = (
    4  # of a unit's vectors while its segment is built: as encoded, kept, coded, compared
)
_SHARDS_AT_ONCE: Final = 4  # two under way, two read ahead, as in stages/index/sizes.py
_ROW_BYTES: Final = 2000
_MULTIPLY_ADD: Final = 2
# Of the products that exact answers are found with: some minutes on two cores. More units get fewer queries.
_TRUTH_PRODUCTS: Final = 4e12
_LEAST_QUERIES: Final = 20


def late_plan(space: SpaceContract, rows: int, config: Indexing) -> IndexPlan:
    """The plan for so many units; into how many segments they are cut is known when their vectors are.

    Raises:
        ConfigError: The space's vectors are not of length 1, have another metric, or no such prefix.
    """
    if not space.normalised or space.metric != "inner_product":
        raise ConfigError(
            f"{space.key}: late interaction takes vectors of length 1, compared by cosine"
        )
    if config.late_prefix and config.late_prefix not in space.nested:
        there = ", ".join(map(str, space.nested)) or "none"
        raise ConfigError(
            f"indexing.late_prefix = {config.late_prefix}: of {space.key} the leading vectors that stand for a unit"
            f" are {there}"
        )
    family = _family(rows, config)
    parameters = _encoding(space.dim, config)
    sample = _SAMPLE_UNITS
    if family.startswith("ivf"):
        parameters["nlist"] = lists(rows)
        sample = max(sample, TRAIN_ROWS_PER_LIST * parameters["nlist"])
    if config.late_codec == "pq":
        parameters |= {PARTS: _parts(space.dim), CENTROIDS: _CENTROIDS}
    if config.late_pool > 1:
        parameters[POOL] = config.late_pool
    if config.late_prefix:
        parameters[PREFIX] = config.late_prefix
    served = rows * FAMILIES[family].code_bytes(encoded_dims(parameters), parameters)
    return IndexPlan(
        family,
        parameters,
        train_rows=sample,
        reason=_reason(space, config, rows, family),
        serve_bytes=int(served),
    )


def _encoding(dim: int, config: Indexing) -> dict[str, int]:
    partitions = config.late_repetitions << config.late_bits
    return {
        "fde_repetitions": config.late_repetitions,
        "fde_bits": config.late_bits,
        "fde_block": min(dim, max(_LEAST_BLOCK, _MOST_DIMS // partitions)),
        "fde_seed": _FDE_SEED,
    }


def encoded_dims(parameters: Mapping[str, int]) -> int:
    """Dims of an encoding."""
    partitions = parameters["fde_repetitions"] << parameters["fde_bits"]
    return partitions * parameters["fde_block"]


def _family(rows: int, config: Indexing) -> str:
    """A byte a dim: MaxSim ranks in the end, so codes need only be good enough to find candidates."""
    asked = FAMILIES.get(config.family)
    if asked is not None and not asked.rescores:
        return asked.name
    return "flat_sq8" if rows < config.flat_rows else "ivf_sq8"


def _parts(dim: int) -> int:
    return max(1, dim // _PART_DIMS) if dim % _PART_DIMS == 0 else dim


def _reason(space: SpaceContract, config: Indexing, rows: int, family: str) -> str:
    kept = (
        f"the first {config.late_prefix} vectors of a unit" if config.late_prefix else "all vectors"
    )
    pooled = f", {config.late_pool} alike ones averaged" if config.late_pool > 1 else ""
    codes = "a byte a dim" if config.late_codec == "int8" else "a centroid and a product code"
    return (
        f"{rows:,} units of {space.name}: candidates by encodings of {config.late_repetitions} x"
        f" {1 << config.late_bits} partitions in {family}, ranked by"
        f" MaxSim over {kept}{pooled}, {codes}"
    )


def late_shards(rows: int, vectors: int, dim: int, config: Indexing) -> int:
    """Segments, a power of two of them: so many that building fits `build_memory_bytes`."""
    unit_bytes = (
        _COPIES * 4 * (vectors / max(1, rows) * dim + encoded_dims(_encoding(dim, config)))
        + _ROW_BYTES
    )
    room = config.build_memory_bytes / _SHARDS_AT_ONCE / unit_bytes
    least = rows / max(1.0, min(room, config.segment_rows))
    return 1 << max(0, (int(-(-least // 1)) - 1).bit_length())


def late_queries(vectors: int, dim: int, span: int, config: Indexing) -> int:
    """Of each kind that is made from units: `recall_queries`, or what exact answers can be had for."""
    products = 2 * _MULTIPLY_ADD * span * dim * max(1, vectors)
    return min(config.recall_queries, max(_LEAST_QUERIES, int(_TRUTH_PRODUCTS / products)))
