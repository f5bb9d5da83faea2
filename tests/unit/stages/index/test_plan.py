from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Indexing
from schemas.errors import ConfigError
from schemas.space import SpaceContract
from stages.index.families.registry import FAMILIES, family
from stages.index.plan import IndexPlan, Need, need_of, plans, shared_budget
from stages.index.sizes import MANY_SEGMENTS, lists, shards, sized

CONFIG = Indexing()
MIB = 1 << 20
DIM = 384


def need(rows: int, serve_mib: float = 0, **rest: object) -> Need:
    return Need(
        rows,
        **{
            "dim": DIM,
            "serve_budget_bytes": int(serve_mib * MIB),
            "build_budget_bytes": CONFIG.build_memory_bytes,
            "workers": 2,
        }
        | rest,
    )


def first(rows: int, serve_mib: float = 0, config: Indexing = CONFIG, **rest: object) -> IndexPlan:
    return plans(need(rows, serve_mib, **rest), config)[0]


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (0, "flat"),
        (1, "flat"),
        (19_999, "flat"),
        (20_000, "ivf_flat"),
        (199_999, "ivf_flat"),
        (200_000, "ivf_sq8"),
        (10_000_000, "ivf_sq8"),
    ],
)
def test_the_family_follows_the_size(rows: int, name: str):
    assert first(rows).family == name


@pytest.mark.parametrize(
    ("serve_mib", "name"),
    [
        (2000, "ivf_sq8"),
        (390, "ivf_sq8"),
        (300, "ivf_rabitq"),
        (70, "ivf_rabitq"),
        (60, "ivf_opq_pq"),
        (45, "ivf_opq_pq"),
    ],
)
def test_codes_get_coarser_as_memory_gets_less(serve_mib: float, name: str):
    chosen = first(1_000_000, serve_mib)

    assert chosen.family == name
    assert chosen.serve_bytes <= serve_mib * MIB


@pytest.mark.parametrize(
    ("serve_mib", "family_name", "dims"),
    [
        (390, "ivf_sq8", None),
        (300, "ivf_sq8", 192),
        (150, "ivf_sq8", 128),
        (100, "ivf_sq8", 64),
        (70, "ivf_rabitq", None),
    ],
)
def test_matryoshka_dims_go_before_bits(serve_mib: float, family_name: str, dims: int | None):
    chosen = first(1_000_000, serve_mib, matryoshka=(32, 64, 128, 192))

    assert (chosen.family, chosen.parameters.get("dims")) == (family_name, dims)
    assert (chosen.parameters.get("rescore_bits") == 16) == (chosen.name != "ivf_sq8")


def test_dims_are_only_cut_where_length_says_nothing():
    for rest in ({"metric": "l2"}, {"normalised": False}):
        found = plans(need(1_000_000, matryoshka=(192,), **rest), CONFIG)
        assert not any("dims" in plan.parameters for plan in found)
        assert "binary" not in [plan.family for plan in found]


def test_vectors_of_any_length_are_kept_as_float32_to_rescore_with():
    chosen = first(1_000_000, 100, normalised=False)

    assert chosen.parameters["rescore_bits"] == 32


def plans_or_none(asked: Need) -> tuple[IndexPlan, ...]:
    try:
        return plans(asked, CONFIG)
    except ConfigError:
        return ()


@given(
    st.integers(1, 10**8),
    st.sampled_from([96, 384, 768, 1024]),
    st.integers(1 << 20, 1 << 40),
    st.integers(64 << 20, 1 << 36),
    st.sampled_from([(), (64, 128)]),
)
def test_no_plan_is_over_a_budget(
    rows: int, dim: int, serve: int, build: int, dims: tuple[int, ...]
):
    asked = Need(rows, dim, "inner_product", True, dims, serve, build, 2)
    for plan in plans_or_none(asked):
        assert plan.serve_bytes <= serve
        assert plan.build_bytes <= build
        stored = family(plan.family).code_bytes(plan.parameters.get("dims", dim), plan.parameters)
        assert plan.serve_bytes >= rows * stored
        assert (
            plan.disk_bytes > plan.serve_bytes - plan.shards * plan.parameters.get("nlist", 0) * 128
        )


@given(st.integers(20_000, 10**10))
def test_lists_grow_with_the_root_of_the_rows(rows: int):
    nlist = lists(rows)

    assert 2 * math.sqrt(rows) <= nlist <= 2.8 * math.sqrt(rows)
    top = 1 << (nlist.bit_length() - 1)
    assert nlist % (top // 4) == 0


@given(st.integers(20_000, 10**8))
def test_each_list_gets_training_vectors(rows: int):
    plan = first(rows, build_budget_bytes=1 << 40)

    nlist = plan.parameters["nlist"]
    assert 30 * nlist <= plan.train_rows <= min(rows, 256 * nlist)


def test_training_stays_within_the_memory():
    plan = first(100_000_000, build_budget_bytes=256 * MIB, config=Indexing(segment_rows=10_000))

    assert plan.parameters["nlist"] * 30 <= plan.train_rows
    assert 2 * plan.train_rows * DIM * 4 <= 256 * MIB
    assert plan.parameters["nlist"] < lists(100_000_000)


@given(st.integers(1, 1000))
def test_training_vectors_come_before_lists_where_both_cannot_be(rows: int):
    chosen = first(rows, config=Indexing(family="ivf_sq8"), dim=8)

    assert min(rows, 4) <= chosen.parameters["nlist"] <= max(min(rows, 4), rows // 30)


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_segments_have_about_the_size_asked_for_up_to_sixteen(rows: int, segment_rows: int):
    shards = first(rows, config=Indexing(segment_rows=segment_rows), build_budget_bytes=0).shards

    assert shards & (shards - 1) == 0
    assert rows <= shards * segment_rows or shards == MANY_SEGMENTS
    assert shards == 1 or rows > shards / 2 * segment_rows


def test_segments_shrink_until_they_build_within_the_memory():
    roomy = first(10_000_000, build_budget_bytes=64 << 30)
    tight = first(10_000_000, build_budget_bytes=2 << 30)

    assert roomy.shards == 16
    assert tight.shards > roomy.shards
    assert tight.build_bytes <= 2 << 30
    assert tight.build_bytes * 2 > 2 << 30  # and no further


def cut(wanted: Need) -> IndexPlan:
    parameters = {"nlist": 64}
    return sized(wanted, "ivf_sq8", parameters, shards(wanted, "ivf_sq8", parameters, 10**5))


@given(st.integers(1, 10**8), st.integers(2, 1000), st.integers(1 << 28, 1 << 36))
def test_any_number_of_workers_gives_the_same_index(rows: int, workers: int, build_bytes: int):
    one = cut(need(rows, build_budget_bytes=build_bytes, workers=1))
    many = cut(need(rows, build_budget_bytes=build_bytes, workers=workers))

    assert (one.shards, one.train_rows) == (many.shards, many.train_rows)
    assert one.workers == 1 <= many.workers <= workers
    assert many.build_bytes <= max(build_bytes, one.build_bytes)


def test_every_plan_cuts_the_rows_alike():
    assert len({plan.shards for plan in plans(need(1_000_000), CONFIG)}) == 1


def test_a_limit_of_latency_brings_the_fastest_first():
    usual = plans(need(1_000_000), CONFIG)
    asked = plans(need(1_000_000), Indexing(latency_ms=0.1))

    assert asked[0].query_ms == min(plan.query_ms for plan in asked) < usual[0].query_ms
    assert (
        "latency_ms = 0.1 is below what ivf_sq8 in 8 segments is expected to keep"
        in asked[0].reason
    )
    assert plans(need(1_000_000), Indexing(latency_ms=1000)) == usual


def test_a_graph_comes_first_where_it_is_the_fastest():
    roomy = need(50_000_000, build_budget_bytes=0, dim=96)

    assert plans(roomy, Indexing(latency_ms=0.5))[0].family == "hnsw_sq8"
    without = Need(50_000_000, 96, serve_budget_bytes=6000 * MIB)
    assert not plans(without, Indexing(latency_ms=0.5))[0].family.startswith("hnsw")


def test_growth_within_a_step_changes_nothing():
    before, after = first(510_000), first(515_000)

    assert (before.family, before.parameters, before.shards) == (
        after.family,
        after.parameters,
        after.shards,
    )


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_that_is_asked_for_is_planned_and_no_other(name: str):
    found = plans(need(50_000), Indexing(family=name))

    assert {plan.family for plan in found} == {name}
    assert f"family = {name} is what the configuration asks for" in found[0].reason


def test_a_family_that_does_not_fit_is_an_error_in_words():
    with pytest.raises(ConfigError) as caught:
        first(1_000_000, 100, Indexing(family="ivf_flat"))

    assert str(caught.value) == (
        "1,000,000 vectors of 384 dims cannot be indexed as ivf_flat within the memory there is. Nearest are"
        " ivf_flat: 1.44 GiB while served, more than the 100 MiB there are. Raise indexing.serve_memory_bytes or"
        " indexing.build_memory_bytes, or set indexing.family to auto (float32 alone is 1.43 GiB)"
    )


def test_where_nothing_fits_the_nearest_two_are_named():
    with pytest.raises(ConfigError) as caught:
        first(10_000_000, 200)

    assert str(caught.value) == (
        "10,000,000 vectors of 384 dims cannot be indexed within the memory there is. Nearest are ivf_opq_pq: 243 MiB"
        " while served, more than the 200 MiB there are; binary: 458 MiB while served, more than the 200 MiB there"
        " are. Raise indexing.serve_memory_bytes or indexing.build_memory_bytes (float32 alone is 14.3 GiB)"
    )


def test_an_unknown_family_is_named_with_those_there_are():
    with pytest.raises(ConfigError, match=r"ivf_sq9.*ivf_sq8"):
        first(100, config=Indexing(family="ivf_sq9"))


def test_it_says_why():
    lines = first(1_000_000, 500).reason.splitlines()

    assert lines[:3] == [
        "ivf_sq8: 1,000,000 vectors of 384 dims; 2,048 lists of about 488, trained on 81,920 vectors; 8 segments of"
        " about 125,000, 2 built beside each other.",
        "Why: from 200,000 rows on (1,000,000 here) one byte a dimension is looked at faster than float32 and takes"
        " a quarter of the memory.",
        lines[2],
    ]
    assert lines[2].startswith("Costs: 379 MiB of memory while served (of 500 MiB), ")
    assert "Not ivf_flat: 1.44 GiB while served, more than the 500 MiB there are." in lines
    assert any(
        line.startswith("Not ivf_rabitq: 66.0 MiB while served, for coarser codes")
        for line in lines
    )
    assert len(lines) == 3 + len({line.split(":")[0] for line in lines if line.startswith("Not ")})


def test_a_space_says_what_is_needed():
    space = SpaceContract(
        "t",
        "e",
        "m",
        "1",
        "",
        8,
        "float32",
        "text",
        "mean",
        metric="l2",
        normalised=False,
        matryoshka=(4,),
    )

    assert need_of(space, 7, CONFIG, 3, 99) == Need(
        7, 8, "l2", False, (4,), 99, CONFIG.build_memory_bytes, 3
    )


def test_small_indices_are_not_coarsened_for_the_sake_of_big_ones():
    shared = shared_budget(1 << 30, {"a": MIB, "b": 1000 * MIB, "c": 3000 * MIB}, 2 * MIB)

    assert list(shared) == ["a", "b", "c"]
    assert shared["a"] == MIB
    assert shared["c"] == pytest.approx(3 * shared["b"])
    assert sum(shared.values()) <= 1 << 30 < sum(shared.values()) + 3


def test_all_share_by_size_where_even_small_ones_are_too_much():
    sizes = {"a": 10 * MIB, "b": 10 * MIB}

    assert shared_budget(2 * MIB, sizes, 20 * MIB) == {"a": MIB, "b": MIB}
    assert shared_budget(0, sizes, 20 * MIB) == {"a": 0, "b": 0}
