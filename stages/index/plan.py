"""How a partition is going to be indexed, decided from its size and explained in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stages.index.families import MIN_TRAIN_ROWS_PER_LIST

if TYPE_CHECKING:
    from schemas.config import Indexing

# faiss wiki, "Guidelines to choose an index": nlist between 4*sqrt(N) and 16*sqrt(N). The low end trains fastest and
# balances finding the cells against looking into them at an nprobe of about 16.
_LISTS_PER_SQRT_ROW: Final = 4
_TRAIN_ROWS_PER_LIST: Final = 40  # faiss warns below 39 and drops those beyond 256
_GRID_BITS: Final = 2  # nlist is 1, 1.25, 1.5 or 1.75 times a power of two


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How to index one partition in one space.

    Attributes:
        family: Registry name of the index family.
        parameters: Its build parameters (``nlist``).
        shards: Segments to cut the rows into, a power of two.
        train_rows: Vectors the quantiser is trained on; 0 if the family needs no training.
        reason: Why, for people.
    """

    family: str
    parameters: dict[str, int] = field(default_factory=dict)
    shards: int = 1
    train_rows: int = 0
    reason: str = ""


def plan(rows: int, dim: int, config: Indexing) -> IndexPlan:
    """Choose family, lists, segments and training sample for `rows` vectors of `dim` float32 numbers.

    Numbers move in steps (powers of two, quarters between them), so a corpus that grows a little keeps its plan and
    with it the segments that did not change.
    """
    shards = _power_of_two(math.ceil(rows / config.segment_rows))
    cut = f"; {shards} segments of about {max(rows, 1) // shards:,} rows" if shards > 1 else ""
    if rows < config.flat_rows:
        reason = (
            f"{rows:,} rows are below flat_rows = {config.flat_rows:,}: exact search is fast enough"
        )
        return IndexPlan("flat", {}, shards, 0, reason + cut)
    nlist = _lists(rows)
    train_rows = min(rows, _TRAIN_ROWS_PER_LIST * nlist)
    small = rows < config.sq8_rows
    size = (
        f"below sq8_rows = {config.sq8_rows:,}: vectors stay float32 ({_mib(rows * dim * 4)})"
        if small
        else f"at or above sq8_rows = {config.sq8_rows:,}: one byte a dimension"
        f" ({_mib(rows * dim)} for {_mib(rows * dim * 4)})"
    )
    reason = (
        f"{rows:,} rows, {size}; {nlist:,} lists ({nlist / math.sqrt(rows):.1f} times the root of the rows),"
        f" trained on {train_rows:,} ({train_rows / nlist:.0f} a list)"
    )
    family = "ivf_flat" if small else "ivf_sq8"
    return IndexPlan(family, {"nlist": nlist}, shards, train_rows, reason + cut)


def _lists(rows: int) -> int:
    wanted = _round_up(math.ceil(_LISTS_PER_SQRT_ROW * math.sqrt(rows)))
    return max(1, min(wanted, rows // MIN_TRAIN_ROWS_PER_LIST))


def _round_up(number: int) -> int:
    step = 1 << max(0, number.bit_length() - 1 - _GRID_BITS)
    return -(-number // step) * step


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 20):,.0f} MiB"
