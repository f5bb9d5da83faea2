import numpy as np
import pytest

from schemas.errors import ConfigError
from stages.upgrade.measure import recall_at_10
from stages.upgrade.request import MapRequest, Sample, answer_map

RNG = np.random.default_rng(3)
NONE = np.full(20, -1)


def unit(rows: int, dim: int) -> np.ndarray:
    vectors = RNG.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_space_itself_finds_everything_and_a_strange_one_what_chance_finds():
    rows, queries = unit(400, 16), unit(20, 16)
    assert recall_at_10((queries, rows), (queries, rows), NONE) == 1
    strange = (unit(20, 8), unit(400, 8))
    assert recall_at_10((queries, rows), strange, NONE) < 0.15


def test_half_of_the_neighbours_is_a_half():
    """Rows 0..9 are nearest; in the other space 5 of them are turned away."""
    query, away = np.eye(2, dtype=np.float32)
    rows = np.stack([query] * 10 + [away] * 10)
    turned = rows.copy()
    turned[5:10], turned[10:15] = away, query
    found = recall_at_10((query[None], rows), (query[None], turned), np.array([-1]))
    assert found == 0.5


def test_the_row_that_a_query_was_made_of_is_no_answer():
    rows = unit(50, 8)
    own = np.arange(20)
    only_itself = rows.copy()
    only_itself[:] = unit(50, 8)
    only_itself[:20] = rows[:20]
    counted = recall_at_10((rows[:20], rows), (rows[:20], only_itself), NONE)
    assert recall_at_10((rows[:20], rows), (rows[:20], only_itself), own) < counted
    assert recall_at_10((rows[:20], rows), (rows[:20], rows), own) == 1


def test_among_equal_rows_any_will_do():
    query = np.eye(3, dtype=np.float32)[:1]
    rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    other = np.concatenate([rows[10:], rows[:10]])
    assert recall_at_10((query, rows), (query, other), np.array([-1])) == 1


def test_nearest_by_distance():
    """The ten that are near are short; the inner product goes for the long ones."""
    rows = np.array([[1.0, 0.5]] * 10 + [[9.0, 0.0]] * 20, dtype=np.float32)
    query = np.ones((1, 2), dtype=np.float32)
    wanted, asked = (query, rows), (query, rows)
    assert recall_at_10(wanted, asked, np.array([-1]), ("l2", "l2")) == 1
    assert recall_at_10(wanted, asked, np.array([-1]), ("l2", "inner_product")) == 0


def test_without_rows_or_queries_nothing_is_measured():
    rows = unit(5, 4)
    assert np.isnan(recall_at_10((rows[:0], rows), (rows[:0], rows), np.zeros(0, np.int64)))
    assert np.isnan(recall_at_10((rows[:1], rows[:1]), (rows[:1], rows[:1]), np.array([0])))


def sample(noise: float) -> Sample:
    """Two spaces that are a rotation and some noise apart; the last units are another partition."""
    new = unit(600, 16)
    rotation, _ = np.linalg.qr(RNG.standard_normal((16, 16)))
    old = (new + noise * unit(600, 16)) @ rotation
    old = (old / np.linalg.norm(old, axis=1, keepdims=True)).astype(np.float32)
    asked = unit(30, 16)
    held = np.arange(600) % 5 == 0
    return Sample(new, old, held, asked, (asked @ rotation).astype(np.float32))


REQUEST = MapRequest(
    ("text/paragraph",) * 500 + ("table/row",) * 100,
    ("general",) * 20 + ("asked",) * 10,
    ("inner_product", "inner_product"),
    normalised=True,
)


def test_each_partition_and_kind_of_query_is_measured():
    found = answer_map(REQUEST, sample(0.0)).value
    assert found.fitted.pairs == 480
    assert {name: part.rows for name, part in found.partitions.items()} == {
        "table/row": 100,
        "text/paragraph": 500,
    }
    for part in found.partitions.values():
        assert set(part.mapped) == set(part.before) == {"rows", "general", "asked"}
        assert min(part.mapped.values()) > 0.99
        assert min(part.before.values()) > 0.99


def test_what_the_spaces_do_not_share_is_lost():
    found = answer_map(REQUEST, sample(1.0)).value.partitions["text/paragraph"]
    assert 0.1 < found.mapped["rows"] < 0.9
    assert found.before["rows"] < 0.9


def test_without_the_old_encoder_its_questions_are_not_known():
    given = sample(0.0)._replace(asked_old=np.zeros((0, 16), np.float32))
    part = answer_map(REQUEST, given).value.partitions["table/row"]
    assert set(part.before) == {"rows"}
    assert set(part.mapped) == {"rows", "general", "asked"}


def test_a_sample_that_is_too_small_is_refused():
    given = sample(0.0)
    few = Sample(*(array[:15] for array in given[:3]), *given[3:])
    with pytest.raises(ConfigError, match="pairs of vectors do not determine"):
        answer_map(MapRequest(REQUEST.partitions[:15], REQUEST.kinds, REQUEST.metrics, True), few)
