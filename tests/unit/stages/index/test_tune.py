from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.index.families.protocol import Knob
from stages.index.tune import (
    SegmentsMeasure,
    Tuned,
    cost_function,
    knob_values,
    measure_latency,
    nearest,
    tune,
)

Search = Mapping[str, int]


@dataclasses.dataclass
class Index:
    """An index whose recall and latency are what the test says."""

    recall: Callable[[Search], float]
    latency: Callable[[Search], float] = lambda search: 1.0
    asked: list[dict[str, int]] = dataclasses.field(default_factory=list)
    timed: list[dict[str, int]] = dataclasses.field(default_factory=list)

    def recalls(self, search: Search) -> dict[str, float]:
        assert dict(search) not in self.asked, "measured twice"
        self.asked.append(dict(search))
        return {"rows": min(1.0, self.recall(search) + 0.01), "text": self.recall(search)}

    def latency_ms(self, search: Search, most_queries: int) -> tuple[float, float]:
        self.timed.append(dict(search))
        return self.latency(search), 2 * self.latency(search)


def cost(search: Search) -> float:
    return 1000.0 * search.get("nprobe", 0) + 5000.0 * search.get("rescore", 0)


def lists(search: Search) -> float:
    """Rises like an IVF index: 0.95 from 24 lists on."""
    return 1 - 1.2 / search["nprobe"]


def codes(search: Search) -> float:
    """Codes that lose the order: the more candidates are ranked again, the less lists are needed."""
    return min(1.0, 1 - 0.6 / search["nprobe"]) * (1 - 0.3 / search["rescore"])


def test_the_least_effort_that_reaches_the_target_is_chosen():
    tuned = tune(Index(lists), (Knob("nprobe", 1000),), cost, 0.95)

    assert tuned.point.search == {"nprobe": 24}
    assert tuned.met
    assert tuned.point.recall_at_10 == pytest.approx(0.95)
    assert tuned.recalls == pytest.approx({"rows": 0.96, "text": 0.95})
    assert tuned.why == (
        "reached 0.950 at nprobe 24, looking at 23.4 KiB in 1.00 ms (99 of 100 queries within 2.00 ms)"
    )


def test_the_curve_can_be_drawn():
    curve = tune(Index(lists), (Knob("nprobe", 1000),), cost, 0.95).curve

    assert [p.cost_bytes for p in curve] == sorted(p.cost_bytes for p in curve)
    assert min(p.recall_at_10 for p in curve) <= 0.5
    assert max(p.search["nprobe"] for p in curve) == 32  # 64 would be more than twice the cost
    assert len({p.search["nprobe"] for p in curve}) == len(curve)
    assert all(p.latency_ms_p99 == 2 for p in curve)


def test_the_curve_ends_where_nothing_more_is_to_be_found():
    index = Index(lambda s: min(1.0, 0.3 * s["nprobe"]))
    curve = tune(index, (Knob("nprobe", 1000),), cost, 0.6).curve

    assert [p.search["nprobe"] for p in curve] == [1, 2, 4]


def test_an_exhaustive_search_has_one_point():
    tuned = tune(Index(lambda s: 1.0), (), lambda s: 77.0, 0.95)

    assert (tuned.point.search, tuned.point.cost_bytes, tuned.met) == ({}, 77.0, True)
    assert tuned.curve == (tuned.point,)


def test_rescoring_alone_can_be_tuned():
    tuned = tune(Index(lambda s: 1 - 0.4 / s["rescore"]), (), cost, 0.95, 0, (1, 2, 4, 8, 16))

    assert tuned.point.search == {"rescore": 8}
    assert [p.search["rescore"] for p in tuned.curve] == [1, 2, 4, 8, 16]


def test_a_snapshot_does_not_depend_on_the_clock():
    knobs, rescores = (Knob("nprobe", 4096),), (1, 2, 4, 8, 16)
    fast = tune(Index(codes), knobs, cost, 0.95, 0, rescores)
    slow = tune(
        Index(codes, latency=lambda s: 1e3 / s["nprobe"] ** 2), knobs, cost, 0.95, 5.0, rescores
    )

    assert fast.point.search == slow.point.search
    assert [p.search for p in fast.curve] == [p.search for p in slow.curve]


def test_latency_decides_only_whether_the_choice_holds():
    knobs = (Knob("nprobe", 1000),)
    tuned = tune(Index(lists), knobs, cost, 0.95, latency_limit_ms=1.5)

    assert tuned.point.search == {"nprobe": 24}
    assert not tuned.met
    assert tuned.why.endswith("within 2.00 ms, more than the 1.5 ms of latency_ms)")
    assert tune(Index(lists), knobs, cost, 0.95, latency_limit_ms=2.0).met


def test_a_ceiling_of_the_codes_is_seen_without_walking_all_the_way():
    index = Index(lambda s: min(0.9, 1 - 1.2 / s["nprobe"]))
    tuned = tune(index, (Knob("nprobe", 1 << 20),), cost, 0.95)

    assert not tuned.met
    assert tuned.point.search == {"nprobe": 16}
    assert tuned.why.startswith("reached 0.900 of 0.95 at nprobe 16, ")
    assert len(index.asked) < 12
    assert {"nprobe": 1 << 20} not in index.timed  # what nobody would use is not timed either


def test_where_there_is_nothing_to_find_the_least_effort_will_do():
    class Nothing(Index):
        def recalls(self, search: Search) -> dict[str, float]:
            return {}

    tuned = tune(Nothing(lists), (Knob("nprobe", 100),), cost, 0.95)

    assert (tuned.point.search, tuned.point.recall_at_10, tuned.recalls) == ({"nprobe": 1}, 1.0, {})


def test_several_knobs_are_refused():
    with pytest.raises(ValueError, match="nprobe, ef_search"):
        tune(Index(lists), (Knob("nprobe", 9), Knob("ef_search", 9)), cost, 0.95)


@given(
    st.integers(1, 300),
    st.lists(st.integers(0, 20), min_size=3, max_size=3),
    st.integers(0, 1000),
    st.integers(1, 20_000),
)
@example(300, [20, 20, 20], 20, 1)
def test_the_choice_is_the_cheapest_of_all(
    largest: int, needed_bits: list[int], target: int, row: int
):
    """Against every choice there is, for recalls that rise in steps."""
    needs = dict(zip((1, 2, 4), sorted(needed_bits, reverse=True), strict=True))

    def recall(search: Search) -> float:
        return min(1000, 1000 * search["nprobe"] // (1 + 20 * needs[search["rescore"]])) / 1000

    def price(search: Search) -> float:
        return 100.0 * search["nprobe"] + row * search["rescore"]

    tuned = tune(Index(recall), (Knob("nprobe", largest),), price, target / 1000, 0, (1, 2, 4))

    every = [
        {"nprobe": v, "rescore": r} for v, r in itertools.product(knob_values(largest), (1, 2, 4))
    ]
    reaching = [price(search) for search in every if recall(search) >= target / 1000]
    assert tuned.met == bool(reaching)
    if reaching:
        assert tuned.point.cost_bytes == min(reaching)


def test_a_small_part_of_the_choices_is_measured():
    index = Index(codes)
    rescores = (1, 2, 4, 8, 16, 32, 64)
    tuned = tune(index, (Knob("nprobe", 4096),), cost, 0.95, 0, rescores)

    assert tuned.met
    assert len(index.asked) < 40 < len(knob_values(4096)) * len(rescores) / 10


@given(st.integers(1, 10**6))
def test_values_of_a_knob_rise_by_an_eighth_at_the_most(largest: int):
    values = knob_values(largest)

    assert (values[0], values[-1]) == (1, largest)
    assert all(a < b <= max(a + 1, a * 1.125) for a, b in itertools.pairwise(values))


class Codes:
    """A family that looks at 56 bytes of every second vector."""

    def scanned_bytes(self, rows: int, dim: int, parameters: Search, search: Search) -> float:
        return 56.0 * rows / 2 * search["nprobe"] + dim


def test_a_candidate_costs_the_pages_that_it_is_on():
    cost_of = cost_function(Codes(), 1000, 384, {"rescore_bits": 16, "dims": 96})

    assert cost_of({"nprobe": 1}) == 28_096
    assert cost_of({"nprobe": 1, "rescore": 4}) == 28_096 + 40 * (768 + 4095)
    assert cost_of({"nprobe": 1, "rescore": 200}) == 28_096 + 1000 * (
        768 + 4095
    )  # no more than there are


def test_latency_is_of_one_query_after_a_warm_up():
    asked = []
    queries = np.arange(24, dtype=np.float32).reshape(12, 2)

    p50, p99 = measure_latency(lambda query: asked.append(query.copy()), queries)

    assert 0 < p50 <= p99
    assert [query.shape for query in asked] == [(1, 2)] * 22
    assert measure_latency(asked.append, queries[:0]) == (0.0, 0.0)


def test_segments_are_measured_by_the_functions_given():
    searched = []
    measure = SegmentsMeasure(
        lambda search: {"rows": search["nprobe"] / 10},
        lambda query, search: searched.append((query.shape, dict(search))),
        np.zeros((3, 4), dtype=np.float32),
    )
    tuned = tune(measure, (Knob("nprobe", 10),), cost, 1.0)

    assert tuned.point.search == {"nprobe": 10}
    assert ((1, 4), {"nprobe": 10}) in searched


def miss(recall: float, latency_ms: float) -> Tuned:
    return tune(
        Index(lambda s: recall, latency=lambda s: latency_ms / 2),
        (Knob("nprobe", 1),),
        cost,
        0.95,
        4.0,
    )


def test_the_nearest_two_misses_are_told():
    told = nearest(
        [
            ("ivf_pq", miss(0.5, 1)),
            ("ivf_rabitq", miss(0.93, 1)),
            ("flat", miss(1.0, 40)),
            ("hnsw_sq8", miss(0.96, 4.4)),
        ],
        0.95,
        4.0,
    )

    assert told == (
        "ivf_rabitq reached 0.930 of 0.95 at nprobe 1, looking at 0.98 KiB in 0.50 ms"
        " (99 of 100 queries within 1.00 ms); hnsw_sq8 reached 0.960 at nprobe 1, looking at 0.98 KiB in"
        " 2.20 ms (99 of 100 queries within 4.40 ms, more than the 4 ms of latency_ms)"
    )
