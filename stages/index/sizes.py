"""What an index costs before it is built: lists, segments, training sample, bytes served, stored and needed to build.

Formulas only, so the same need gives the same plan on every machine. Sizes are those of vectors, codes and rows; the
processes themselves (Python, faiss, Arrow) come on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from stages.index.families._coarse import GRAPH_LISTS
from stages.index.families.registry import family
from stages.index.truth import K
from stages.index.tune import RESCORE, cost_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.space import Metric

# Lists per root of the rows. The wiki of faiss ("Guidelines to choose an index") says 4 to 16. Measured on
# 400,000 x 384 (docs/indexing.md): at recall 0.95 two roots answer as fast as four (0.40 and 0.46 ms; one root 0.52),
# since every query also looks at every centroid; they take half the time to add to and a quarter of it to train.
LISTS_PER_SQRT_ROW: Final = 2
TRAIN_ROWS_PER_LIST: Final = 40  # faiss warns below 39 and drops what is beyond 256
_LEAST_LISTS: Final = (
    4  # one would be the whole index, which the gate takes for a quantiser that divides nothing
)
MIN_TRAIN_ROWS_PER_LIST: Final = 30  # of few rows; the low end of the same page
# With so many a query scans centroids for longer than codes; a few more and a graph finds them in a third of the time.
_GRAPH_LISTS_FROM: Final = GRAPH_LISTS * 7 // 8
_GRID_BITS: Final = 2  # lists are 1, 1.25, 1.5 or 1.75 times a power of two
# Lists to look into for a recall of 0.95, fitted to the same measurement (8.5, 11.5 and 15.5 of 640, 1,280 and 2,560).
_PROBE_FACTOR: Final = 0.53
_PROBE_POWER: Final = 0.43
_EF_SEARCH: Final = 64  # HNSW32 reached 0.98 of 100,000 x 384 with it
_RESCORE: Final = 4  # one bit and four bits a dimension reached 0.99 with it, at the same place
# Nanoseconds for one byte that is looked at, on one AVX2 core at 100,000 x 384: wider codes are read at the speed of
# memory, narrow ones take work to unpack.
_NS_PER_BYTE: Final[Mapping[str, float]] = MappingProxyType(
    {
        "flat": 0.08,
        "flat_fp16": 0.12,
        "flat_sq8": 0.22,
        "hnsw_flat": 0.3,
        "hnsw_sq8": 0.6,
        "ivf_flat": 0.08,
        "ivf_fp16": 0.12,
        "ivf_sq8": 0.22,
        "ivf_pq": 0.4,
        "ivf_opq_pq": 0.4,
        "ivf_rabitq": 0.8,
        "binary": 0.1,
    }
)
_NS_UNKNOWN: Final = 0.3
_CENTROID_NS_PER_BYTE: Final = 0.08
_CANDIDATE_NS: Final = 2500.0  # to fetch and score one candidate from full.npy, in memory
_RESCORE_NS: Final = 150_000.0  # to rank again at all
_SEGMENT_NS: Final = 80_000.0  # to call faiss once and merge what it found
_LIST_BYTES: Final = (
    128  # faiss' own memory for one list of a mapped segment: two vectors, their owners
)
_ID_BYTES: Final = 8
_TRAIN_COPIES: Final = 2  # the sample, and what faiss keeps of it
_LEAST_WORKERS: Final = 2  # segments are small enough for so many, whatever the machine
_DRIVER_SHARDS: Final = 2  # read from disk and on their way to the workers
_HASH_SPREAD: Final = 1.05  # the biggest of the ranges of ids, beside the average
MANY_SEGMENTS: Final = 16
_LEAST_SHARD_ROWS: Final = 1000
_CODEC_TRAIN_LISTS: Final = 256  # a codec alone takes the sample of an index of so many lists
ROW_BYTES: Final = 1000  # of rows.arrow: ids, locator, 100 words of text


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be indexed, within which memory.

    Attributes:
        rows: Vectors.
        dim: Numbers of a vector.
        metric: What is near.
        normalised: Whether vectors have length 1.
        matryoshka: Shorter lengths that the encoder was trained for, ascending.
        serve_budget_bytes: Memory to serve this index; 0 is no limit.
        build_budget_bytes: Memory to build it, over all workers; 0 is no limit.
        workers: Segments that can be built beside each other.
        row_bytes: Of one row of rows.arrow, about.
    """

    rows: int
    dim: int
    metric: Metric = "inner_product"
    normalised: bool = True
    matryoshka: tuple[int, ...] = ()
    serve_budget_bytes: int = 0
    build_budget_bytes: int = 0
    workers: int = 1
    row_bytes: int = ROW_BYTES


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How to index one partition in one space.

    Attributes:
        family: Registry name of the index family.
        parameters: Its build parameters (``nlist``, ``m``, ``dims``, ``rescore_bits``).
        shards: Segments to cut the rows into.
        train_rows: Vectors the quantiser is trained on; 0 if the family needs no training.
        reason: Why, for people; some lines.
        serve_bytes: Resident while it is served.
        disk_bytes: Of all files of all segments.
        build_bytes: The most that building needs at one time, over all workers.
        workers: Segments that may be built beside each other within the memory.
        scanned_bytes: What one query is expected to look at for a recall of 0.95.
        query_ms: What that is expected to take on one core; for comparing plans, not for promises.
    """

    family: str
    parameters: dict[str, int]
    shards: int = 1
    train_rows: int = 0
    reason: str = ""
    serve_bytes: int = 0
    disk_bytes: int = 0
    build_bytes: int = 0
    workers: int = 1
    scanned_bytes: float = 0.0
    query_ms: float = 0.0

    @property
    def name(self) -> str:
        """Family and dims, where these are not all."""
        dims = self.parameters.get("dims")
        return f"{self.family} on {dims} dims" if dims else self.family


def lists(rows: int, most_train_rows: int | None = None) -> int:
    """Lists for an IVF index of so many rows, on the grid; fewer where there is too little to train on."""
    wanted = round_up(math.ceil(LISTS_PER_SQRT_ROW * math.sqrt(rows)))
    if _GRAPH_LISTS_FROM <= wanted < GRAPH_LISTS:
        wanted = GRAPH_LISTS
    if most_train_rows is not None:
        wanted = min(wanted, _round_down(most_train_rows // TRAIN_ROWS_PER_LIST))
    return max(1, min(wanted, max(rows // MIN_TRAIN_ROWS_PER_LIST, min(rows, _LEAST_LISTS))))


def parts(need: Need, dims: int, nlist: int) -> int:
    """Parts to quantise by themselves, half a byte each: the most that the memory to serve has room for.

    Between 2 and 16 dims a part; 4, which is about the size of one bit a dimension, without a limit.
    """
    wanted = dims // 4
    if need.serve_budget_bytes and need.rows:
        left = need.serve_budget_bytes - nlist * (dims * 4 + _LIST_BYTES)
        wanted = int(2 * (left / need.rows - _ID_BYTES))
    within = max(1, min(dims // 2, max(dims // 16, wanted)))
    return max(m for m in range(1, within + 1) if dims % m == 0)


def most_train_rows(need: Need, dims: int) -> int | None:
    """Vectors that can be trained on within the memory to build; None without a limit."""
    if not need.build_budget_bytes:
        return None
    return need.build_budget_bytes // (_TRAIN_COPIES * 4 * dims)


def shards(need: Need, family_name: str, parameters: Mapping[str, int], segment_rows: int) -> int:
    """Segments to build.

    Of about `segment_rows` rows, a power of two of them, which workers share evenly, and no more than 16, since every
    query asks each one. Then as many more, on the grid, as it takes to build two beside each other within the memory,
    however many workers there are, so that any number of them gives the same segments.
    """
    count = min(MANY_SEGMENTS, _power_of_two(math.ceil(need.rows / segment_rows)))
    plan = IndexPlan(family_name, dict(parameters), count)
    while (
        need.build_budget_bytes
        and _adding_bytes(need, plan, _LEAST_WORKERS) > need.build_budget_bytes
        and need.rows // plan.shards >= 2 * _LEAST_SHARD_ROWS
    ):
        plan = replace(plan, shards=round_up(plan.shards + 1))
    return plan.shards


def sized(need: Need, family_name: str, parameters: Mapping[str, int], segments: int) -> IndexPlan:
    """The plan of one family in so many segments, with all its numbers but the reason."""
    train_rows = 0
    if family(family_name).trains:
        wanted = TRAIN_ROWS_PER_LIST * max(parameters.get("nlist", 0), _CODEC_TRAIN_LISTS)
        most = most_train_rows(need, _dims(need, parameters)) or wanted
        train_rows = min(need.rows, wanted, most)
    plan = IndexPlan(family_name, dict(parameters), segments, train_rows)
    workers, build_bytes = _building(need, plan)
    scanned, query_ms = _query(need, plan)
    return replace(
        plan,
        serve_bytes=_serve_bytes(need, plan),
        disk_bytes=_disk_bytes(need, plan),
        build_bytes=build_bytes,
        workers=workers,
        scanned_bytes=scanned,
        query_ms=query_ms,
    )


def round_up(number: int) -> int:
    """The next number of the grid: 1, 1.25, 1.5 or 1.75 times a power of two."""
    step = 1 << max(0, number.bit_length() - 1 - _GRID_BITS)
    return -(-number // step) * step


def _round_down(number: int) -> int:
    step = 1 << max(0, number.bit_length() - 1 - _GRID_BITS)
    return number // step * step


def _power_of_two(number: int) -> int:
    """The next power of two, at least 1."""
    return 1 << max(0, number - 1).bit_length()


def full_row_bytes(need: Need, parameters: Mapping[str, int]) -> float:
    """Of one row of full.npy; 0 without it."""
    return need.dim * parameters.get("rescore_bits", 0) / 8


def _dims(need: Need, parameters: Mapping[str, int]) -> int:
    return parameters.get("dims", need.dim)


def _code_bytes(need: Need, plan: IndexPlan) -> float:
    return family(plan.family).code_bytes(_dims(need, plan.parameters), plan.parameters)


def _centroid_bytes(need: Need, plan: IndexPlan) -> int:
    return plan.parameters.get("nlist", 0) * _dims(need, plan.parameters) * 4


def _serve_bytes(need: Need, plan: IndexPlan) -> int:
    """Codes, one copy of the centroids (the lists to look into are found once, in any segment), and the lists' own."""
    headers = plan.shards * plan.parameters.get("nlist", 0) * _LIST_BYTES
    return math.ceil(need.rows * _code_bytes(need, plan)) + _centroid_bytes(need, plan) + headers


def _disk_bytes(need: Need, plan: IndexPlan) -> int:
    row = _code_bytes(need, plan) + full_row_bytes(need, plan.parameters) + need.row_bytes
    return math.ceil(need.rows * row) + plan.shards * _centroid_bytes(need, plan)


def _building(need: Need, plan: IndexPlan) -> tuple[int, int]:
    """(workers that fit beside each other, bytes at the most), the larger of training and adding."""
    dims = _dims(need, plan.parameters)
    training = _TRAIN_COPIES * (plan.train_rows * dims * 4 + _centroid_bytes(need, plan))
    workers = min(need.workers, plan.shards)
    while (
        need.build_budget_bytes
        and workers > 1
        and _adding_bytes(need, plan, workers) > need.build_budget_bytes
    ):
        workers -= 1
    return workers, max(training, _adding_bytes(need, plan, workers))


def _adding_bytes(need: Need, plan: IndexPlan, workers: int) -> int:
    """Of so many workers beside each other: vectors, rows, the index and the bytes of its files; and the next ones."""
    dims = _dims(need, plan.parameters)
    shard_rows = math.ceil(need.rows / plan.shards * (_HASH_SPREAD if plan.shards > 1 else 1))
    read = 4 * need.dim + need.row_bytes
    made = (4 * dims if dims < need.dim else 0) + need.row_bytes
    made += math.ceil(2 * _code_bytes(need, plan) + full_row_bytes(need, plan.parameters))
    worker = shard_rows * (read + made) + 2 * _centroid_bytes(need, plan)
    reading = min(plan.shards - 1, _DRIVER_SHARDS) * shard_rows * read
    return min(workers, plan.shards) * worker + reading


def _query(need: Need, plan: IndexPlan) -> tuple[float, float]:
    """(bytes that one query looks at, milliseconds), expected for a recall of 0.95."""
    if not need.rows:
        return 0.0, 0.0
    nlist = plan.parameters.get("nlist", 1)
    nprobe = max(1, min(nlist, round(_PROBE_FACTOR * nlist**_PROBE_POWER)))
    search = {"nprobe": nprobe, "ef_search": _EF_SEARCH}
    rescored = search | ({RESCORE: _RESCORE} if plan.parameters.get("rescore_bits") else {})

    def cost(rows: int, choice: Mapping[str, int]) -> float:
        return cost_function(family(plan.family), rows, need.dim, plan.parameters)(choice)

    centroids = cost(0, search) if nlist > 1 else 0.0
    shard_rows = math.ceil(need.rows / plan.shards)
    codes = plan.shards * (cost(shard_rows, search) - centroids)
    pages = cost(need.rows, rescored) - cost(need.rows, search)
    ns = (
        codes * _NS_PER_BYTE.get(plan.family, _NS_UNKNOWN)
        + centroids * _CENTROID_NS_PER_BYTE
        + (_RESCORE_NS + K * _RESCORE * _CANDIDATE_NS if RESCORE in rescored else 0.0)
        + plan.shards * _SEGMENT_NS
    )
    return centroids + codes + pages, ns / 1e6
