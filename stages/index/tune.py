"""Choosing search parameters: the least effort that reaches the wanted recall, measured on published bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.index.families import family, one_thread
from stages.index.recall import K, measure_recall
from stages.index.segments import search_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stages.index.recall import Truth
    from stages.index.segments import OpenSegment

_WARM_UP_QUERIES: Final = 10  # the first ones pay for pages that are not in memory yet


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome of tuning.

    Attributes:
        search: Search parameters for the manifest.
        recall_at_10: At these parameters.
        latency_ms_p50, latency_ms_p99: Of one query over all segments on this machine, one thread.
        curve: (effort, recall@10) pairs that were measured, by effort; one pair (0, recall) for an exact family.
    """

    search: dict[str, int]
    recall_at_10: float
    latency_ms_p50: float
    latency_ms_p99: float
    curve: tuple[tuple[int, float], ...] = field(default=())


def tune(
    segments: Sequence[OpenSegment],
    vectors: Sequence[np.ndarray],
    truth: Truth,
    plan: tuple[str, dict[str, int]],
    target: float,
) -> Tuned:
    """Find the smallest effort (nprobe) whose recall@10 is at least `target`, or the largest effort if none is.

    Args:
        segments: As opened from the files that get published.
        vectors: float32 [rows of segment i, dim] at i, before any codec.
        truth: From :func:`stages.index.recall.make_truth`.
        plan: Family name and build parameters.
        target: Wanted recall@10, 0..1.
    """
    name, parameters = plan
    effort = family(name).effort(parameters)
    if effort is None:
        recall = measure_recall(truth, segments, vectors, name, {})
        return Tuned({}, recall, *measure_latency(segments, truth, name, {}), ((0, recall),))
    knob, largest = effort

    def recall_at(value: int) -> float:
        return measure_recall(truth, segments, vectors, name, {knob: value})

    value, curve = smallest_reaching(target, largest, recall_at)
    search = {knob: value}
    latency = measure_latency(segments, truth, name, search)
    return Tuned(search, curve[value], *latency, tuple(sorted(curve.items())))


def smallest_reaching(
    target: float, largest: int, recall_at: Callable[[int], float]
) -> tuple[int, dict[int, float]]:
    """The smallest value in 1..largest with recall >= target, and all that was measured.

    Doubles until the target is reached, then halves the gap; recall does not fall when more lists are looked into.
    Without any such value: `largest`.
    """
    curve: dict[int, float] = {}
    low, high = 0, 1  # low misses the target; high is tried next
    while True:
        curve[high] = recall_at(high)
        if curve[high] >= target or high == largest:
            break
        low, high = high, min(2 * high, largest)
    if curve[high] < target:
        return high, curve
    while high - low > 1:
        middle = (low + high) // 2
        curve[middle] = recall_at(middle)
        low, high = (low, middle) if curve[middle] >= target else (middle, high)
    return high, curve


def measure_latency(
    segments: Sequence[OpenSegment], truth: Truth, family_name: str, search: dict[str, int]
) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds of single queries, k = 10, one thread; zeros without queries."""
    times_ms = []
    with one_thread():
        for query in (*truth.queries[:_WARM_UP_QUERIES], *truth.queries):
            start = time.perf_counter()
            search_segments(segments, query[None], K, family_name, search)
            times_ms.append((time.perf_counter() - start) * 1000)
    warm = times_ms[min(_WARM_UP_QUERIES, len(truth.queries)) :]
    if not warm:
        return 0.0, 0.0
    return float(np.percentile(warm, 50)), float(np.percentile(warm, 99))
