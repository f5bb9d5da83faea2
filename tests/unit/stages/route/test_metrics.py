import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.route.metrics import measure, ndcg, recall, reciprocal_rank


def test_known_values():
    ranking = ["a", "b", "c", "d"]
    assert recall(ranking, {"b", "x"}, 1) == 0
    assert recall(ranking, {"b", "x"}, 2) == 0.5
    assert recall(ranking, set("abcd") | {"e", "f"}, 2) == 1  # capped: two places, two right ones
    assert ndcg(ranking, {"b"}, 10) == pytest.approx(1 / math.log2(3))
    assert ndcg(ranking, {"a", "c"}, 10) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))
    assert reciprocal_rank(ranking, {"c", "d"}) == pytest.approx(1 / 3)


rankings = st.lists(st.integers(0, 30).map(str), unique=True, max_size=20)
answers = st.sets(st.integers(0, 30).map(str), min_size=1, max_size=8)


@given(rankings, answers)
def test_measures_are_shares_and_only_grow_with_a_better_ranking(ranking, relevant):
    found = measure(ranking, relevant)
    assert all(0 <= value <= 1 for value in found.values())
    better = [a for a in ranking if a in relevant] + [a for a in ranking if a not in relevant]
    assert all(measure(better, relevant)[name] >= value for name, value in found.items())


@given(answers)
def test_the_perfect_ranking_has_one_everywhere(relevant):
    assert set(measure(sorted(relevant), relevant).values()) == {1.0}


@given(rankings, answers)
def test_nothing_found_is_zero(ranking, relevant):
    missing = [a for a in ranking if a not in relevant]
    assert set(measure(missing, relevant).values()) == {0.0}
