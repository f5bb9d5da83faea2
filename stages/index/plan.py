"""How a partition is going to be indexed: every family that could do it, best first, within the memory there is.

Which family comes when is a rule, not a search; docs/indexing.md says where each rule and each constant comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from schemas.errors import ConfigError
from stages.index.dims import keeps_full
from stages.index.explain import milliseconds, over_budget, reason, size
from stages.index.families.registry import family
from stages.index.sizes import IndexPlan, Need, lists, most_train_rows, parts, shards, sized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from schemas.config import Indexing
    from schemas.space import SpaceContract

__all__ = ["SQ8_ROWS", "IndexPlan", "Need", "need_of", "plans", "shared_budget"]

AUTO: Final = "auto"
# From here on one byte a dimension comes before float32. Measured at 100,000 x 384 (docs/indexing.md): 88 ns for 125 ns
# a vector looked at; with more rows, out of the processor's cache, the distance only grows.
SQ8_ROWS: Final = 200_000
# A shorter Matryoshka vector ranks by what the model put first; below this there is too little to find candidates by.
_LEAST_DIMS: Final = 64
_TAIL_FACTOR: Final = 2.0  # the slowest of 100 queries beside the median, on a quiet core
_RESCORE_BITS: Final = 16
_RESCORE_BITS_WIDE: Final = 32  # of vectors of any length: float16 ends at 65,504
# What the families that have build parameters take; lists and parts are planned, see stages/index/sizes.py.
_PLANNED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ivf_flat": ("nlist",),
        "ivf_fp16": ("nlist",),
        "ivf_sq8": ("nlist",),
        "ivf_rabitq": ("nlist",),
        "ivf_pq": ("nlist", "m"),
        "ivf_opq_pq": ("nlist", "m"),
    }
)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A family, the dims it indexes, and why it would be chosen."""

    family: str
    dims: int
    why: str


_Sized = tuple[_Choice, IndexPlan]


def plans(need: Need, config: Indexing) -> tuple[IndexPlan, ...]:
    """Every plan that fits the memory, best first: what is expected to answer fastest while nothing is lost for it.

    Numbers move in steps (powers of two, quarters between them), so a corpus that grows a little keeps its plan and
    with it the segments that did not change. The builder takes the first plan that passes the gate.

    Raises:
        ConfigError: No plan fits, or there is no such family; names the two that come nearest and what they take.
    """
    choices = list(_ladder(need, config) if config.family == AUTO else _only(need, config.family))
    found = _sized(need, choices, config.segment_rows)
    if config.latency_ms:
        found = _by_latency(need, found, config)
    fitting = [(choice, plan) for choice, plan in found if not over_budget(need, plan)]
    if not fitting:
        raise ConfigError(_nothing_fits(need, config, [plan for _, plan in found]))
    exact = need.rows < config.flat_rows and fitting[0][1].family == "flat"
    others = (
        [] if exact else [plan for _, plan in found]
    )  # with nothing lost there is nothing to weigh
    return tuple(
        replace(plan, reason=reason(need, plan, choice.why, others)) for choice, plan in fitting
    )


def need_of(
    space: SpaceContract,
    rows: int,
    config: Indexing,
    workers: int,
    serve_budget_bytes: int = 0,
) -> Need:
    """What it takes to index `rows` vectors of a space."""
    return Need(
        rows=rows,
        dim=space.dim,
        metric=space.metric,
        normalised=space.normalised,
        matryoshka=space.matryoshka,
        serve_budget_bytes=serve_budget_bytes,
        build_budget_bytes=config.build_memory_bytes,
        workers=workers,
    )


def shared_budget(
    total_bytes: int, float32_bytes: Mapping[str, int], small_bytes: int
) -> dict[str, int]:
    """Memory to serve each of several indices, out of what there is for all of them.

    Small ones get all they take, so that they are not coarsened for the sake of a big one, as long as that leaves
    half of the memory; the others share the rest by size.

    Args:
        total_bytes: For all together; 0 is no limit, and gives 0 to each.
        float32_bytes: Size of the vectors of each index as float32.
        small_bytes: What is below counts as small.
    """
    if not total_bytes:
        return dict.fromkeys(float32_bytes, 0)
    small = {name: size for name, size in float32_bytes.items() if size < small_bytes}
    if 2 * sum(small.values()) > total_bytes:
        small = {}
    left = total_bytes - sum(small.values())
    rest = sum(size for name, size in float32_bytes.items() if name not in small)
    return {
        name: max(1, size if name in small else left * size // max(1, rest))
        for name, size in float32_bytes.items()
    }


def _ladder(need: Need, config: Indexing) -> Iterator[_Choice]:
    """From what loses nothing to what loses most; a step is taken only if the one before does not fit or hold."""
    full = need.dim
    if need.rows < config.flat_rows:
        why = f"{need.rows:,} rows are below flat_rows = {config.flat_rows:,}: exact search is fast enough"
        yield _Choice("flat", full, why)
        yield _Choice("flat_fp16", full, "two bytes a dimension, still without a loss that shows")
        yield _Choice("flat_sq8", full, "one byte a dimension, every vector looked at")
    elif need.rows < SQ8_ROWS:
        why = (
            f"{need.rows:,} rows are fewer than {SQ8_ROWS:,}, so float32 is looked at fast enough"
            " in lists, and no bit is lost"
        )
        yield _Choice("ivf_flat", full, why)
        yield _Choice("ivf_fp16", full, "two bytes a dimension lose nothing that shows")
        yield _Choice("ivf_sq8", full, "one byte a dimension where two are too many")
    else:
        why = (
            f"from {SQ8_ROWS:,} rows on ({need.rows:,} here) one byte a dimension is looked at"
            " faster than float32 and takes a quarter of the memory"
        )
        yield _Choice("ivf_sq8", full, why)
        yield _Choice("ivf_fp16", full, "finer codes, where one byte a dimension loses too much")
        yield _Choice("ivf_flat", full, "no codec at all, where a finer one still loses too much")
    yield from _shorter(need, "flat_sq8" if need.rows < config.flat_rows else "ivf_sq8")
    yield from _coarse(need)
    if need.rows >= config.flat_rows:
        why = "a graph finds neighbours in few steps, for more memory and a longer build"
        yield _Choice("hnsw_sq8", full, why)
        yield _Choice("hnsw_flat", full, why)


def _shorter(need: Need, name: str) -> Iterator[_Choice]:
    """Matryoshka dims, longest first.

    They come before coarser codes: the model was trained to rank by its leading dims, so few candidates have to be
    fetched from disk to rank them again, where a bit a dimension needs several times as many.
    """
    if not need.normalised or need.metric == "l2":
        return  # a cut vector is renormalised, which is only right where length says nothing
    for dims in sorted(need.matryoshka, reverse=True):
        if _LEAST_DIMS <= dims < need.dim:
            why = (
                f"the first {dims} of {need.dim} dims rank by themselves in this space; the best are"
                " ranked again by their full vectors"
            )
            yield _Choice(name, dims, why)


def _coarse(need: Need) -> Iterator[_Choice]:
    ranked = "the best are ranked again by their full vectors, mapped from disk"
    yield _Choice("ivf_rabitq", need.dim, f"one bit a dimension (RaBitQ); {ranked}")
    yield _Choice("ivf_opq_pq", need.dim, f"rotated and quantised by parts; {ranked}")
    if need.metric == "inner_product" and need.normalised:
        why = f"one bit a dimension, every vector looked at; {ranked}"
        yield _Choice("binary", need.dim, why)


def _only(need: Need, name: str) -> Iterator[_Choice]:
    family(name)  # names those there are if there is none of this name
    yield _Choice(name, need.dim, f"family = {name} is what the configuration asks for")
    for choice in _shorter(need, name):
        yield replace(
            choice, why=f"family = {name} is what the configuration asks for; {choice.why}"
        )


def _sized(need: Need, choices: Sequence[_Choice], segment_rows: int) -> list[_Sized]:
    """All in as many segments as the first, so that vectors are cut once however many are tried."""
    first = choices[0]
    count = shards(need, first.family, _parameters(need, first), segment_rows)
    return [
        (choice, sized(need, choice.family, _parameters(need, choice), count)) for choice in choices
    ]


def _by_latency(need: Need, found: list[_Sized], config: Indexing) -> list[_Sized]:
    """As they are, if the first is expected to keep the limit; else in as few segments as can be, the fastest first.

    A graph finds its way in a number of steps that hardly grows with the rows, but in every segment anew.
    """
    fitting = [plan for _, plan in found if not over_budget(need, plan)]
    if not fitting or _TAIL_FACTOR * fitting[0].query_ms <= config.latency_ms:
        return found
    slow = fitting[0]
    why = (
        f"latency_ms = {config.latency_ms:g} is below what {slow.name} in {slow.shards} segments is"
        f" expected to keep ({milliseconds(_TAIL_FACTOR * slow.query_ms)})"
    )
    choices = [replace(choice, why=f"{why}; {choice.why}") for choice, _ in found]
    few = _sized(need, choices, max(1, need.rows))
    return sorted(few, key=lambda pair: pair[1].query_ms)


def _parameters(need: Need, choice: _Choice) -> dict[str, int]:
    """Build parameters of a choice."""
    parameters: dict[str, int] = {}
    planned = _PLANNED.get(choice.family, ())
    if "nlist" in planned:
        parameters["nlist"] = lists(need.rows, most_train_rows(need, choice.dims))
    if "m" in planned:
        parameters["m"] = parts(need, choice.dims, parameters["nlist"])
    if choice.dims < need.dim:
        parameters["dims"] = choice.dims
    if keeps_full(choice.family, need.dim, parameters):
        parameters["rescore_bits"] = _RESCORE_BITS if need.normalised else _RESCORE_BITS_WIDE
    return parameters


def _nothing_fits(need: Need, config: Indexing, found: list[IndexPlan]) -> str:
    near = sorted(found, key=lambda plan: (_excess(need, plan), plan.serve_bytes))[:2]
    lines = "; ".join(f"{plan.name}: {over_budget(need, plan)}" for plan in near)
    asked = "" if config.family == AUTO else f" as {config.family}"
    return (
        f"{need.rows:,} vectors of {need.dim} dims cannot be indexed{asked} within the memory there is. Nearest are"
        f" {lines}. Raise indexing.serve_memory_bytes or indexing.build_memory_bytes"
        f"{'' if config.family == AUTO else ', or set indexing.family to auto'}"
        f" (float32 alone is {size(need.rows * need.dim * 4)})"
    )


def _excess(need: Need, plan: IndexPlan) -> float:
    """How many times the budget a plan takes, the worse of serving and building."""
    serve = plan.serve_bytes / need.serve_budget_bytes if need.serve_budget_bytes else 0.0
    build = plan.build_bytes / need.build_budget_bytes if need.build_budget_bytes else 0.0
    return max(serve, build)
