"""MaxSim, pooling, codes and encodings on their own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError, IntegrityError, VectorError
from schemas.space import TokenVectors
from stages.index.late.codecs import CENTROIDS, PARTS, Codebook
from stages.index.late.fde import Fde
from stages.index.late.maxsim import all_maxsims, maxsim
from stages.index.late.pooling import pooled, reduced
from stages.index.late.store import Tokens, checked
from tests.late_corpus import DIM, made_units, naive_maxsim, unit_length

UNITS = made_units(300)
SAMPLE = Tokens.of(UNITS, DIM)
INT8 = Codebook.trained(SAMPLE.vectors, {})
PQ = Codebook.trained(SAMPLE.vectors, {PARTS: 8, CENTROIDS: 64})
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, most: int = 6) -> tuple[np.ndarray, list[TokenVectors]]:
    rng = np.random.default_rng(seed)
    query = unit_length(rng.standard_normal((rng.integers(1, most), DIM)))
    return query, made_units(int(rng.integers(1, 8)), seed=seed)


# --- MaxSim ---


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_maxsim_is_what_loops_say(seed):
    query, units = drawn(seed)
    tokens = Tokens.of(units, DIM)
    wanted = [naive_maxsim(query, unit.vectors) for unit in units]
    assert maxsim(query, tokens.vectors, tokens.starts).tolist() == pytest.approx(wanted, abs=1e-6)
    many = all_maxsims(
        np.concatenate([query, query[:1]]), np.array([0, len(query)]), tokens.vectors, tokens.starts
    )
    assert many[0].tolist() == pytest.approx(wanted, abs=1e-6)
    first = [naive_maxsim(query[:1], unit.vectors) for unit in units]
    assert many[1].tolist() == pytest.approx(first, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_unit_scores_the_same_bits_in_any_company(seed):
    query, units = drawn(seed)
    together = Tokens.of(units, DIM)
    scores = maxsim(query, together.vectors, together.starts)
    for number, unit in enumerate(units):
        alone = maxsim(query, unit.vectors, np.array([0]))
        assert alone[0].tobytes() == scores[number].tobytes()


# --- what is kept ---


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_pooling_keeps_counts_kinds_and_length(seed, factor):
    for unit in drawn(seed)[1]:
        found = pooled(unit, factor)
        for kind in (0, 1, 2):
            before = int((unit.kinds == kind).sum())
            assert int((found.kinds == kind).sum()) == math.ceil(before / factor)
        assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_pooling_joins_what_is_alike():
    near = unit_length(np.array([[1, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 1, 0.1]], np.float32))
    found = pooled(TokenVectors(near, np.zeros(4, np.int32)), 2)
    assert found.vectors == pytest.approx(
        unit_length(np.array([near[0] + near[2], near[1] + near[3]])), abs=1e-6
    )


def test_equal_vectors_pool_the_same_way_every_time():
    same = np.repeat(unit_length(np.ones((1, 8))), 9, axis=0)
    unit = TokenVectors(same, np.zeros(9, np.int32))
    assert pooled(unit, 2).vectors.tobytes() == pooled(unit, 2).vectors.tobytes()
    assert len(pooled(unit, 2).vectors) == 5


def test_a_prefix_is_the_leading_vectors():
    unit = max(UNITS, key=lambda u: len(u.kinds))
    found = reduced(unit, prefix=4)
    np.testing.assert_array_equal(found.vectors, unit.vectors[:4])
    assert len(reduced(unit, prefix=4, pool=2).vectors) <= 4


# --- many units side by side ---


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 3))
def test_offsets_never_mix_units(seed, pool):
    units = drawn(seed)[1]
    tokens = Tokens.of(units, DIM).reduced({"pool": pool})
    assert tokens.units == len(units)
    for number, unit in enumerate(units):
        wanted = reduced(unit, pool=pool)
        np.testing.assert_array_equal(tokens.unit(number).vectors, wanted.vectors)
        np.testing.assert_array_equal(tokens.unit(number).kinds, wanted.kinds)


def test_digests_tell_units_apart_by_their_vectors_alone():
    digests = SAMPLE.digests()
    assert len(set(digests.tolist())) == len(UNITS)
    backwards = Tokens.of(UNITS[::-1], DIM).digests()[::-1]
    np.testing.assert_array_equal(digests, backwards)
    longest = max(UNITS, key=lambda u: len(u.kinds))
    turned = TokenVectors(longest.vectors[::-1], longest.kinds)
    assert len(set(Tokens.of([longest, turned], DIM).digests().tolist())) == 2


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t._replace(offsets=t.offsets * 0), "vectors"),
        (lambda t: t._replace(kinds=t.kinds[1:]), "kinds"),
        (lambda t: t._replace(kinds=t.kinds + 300), "kinds are"),
        (lambda t: t._replace(vectors=t.vectors.astype(np.float64)), "float64"),
        (lambda t: t._replace(vectors=t.vectors * np.nan), "unit 0 has NaN"),
        (lambda t: t._replace(offsets=np.insert(t.offsets, 3, t.offsets[3])), "unit 3 has no"),
    ],
)
def test_what_does_not_belong_together_is_refused(spoil, says):
    with pytest.raises(VectorError, match=says):
        checked(spoil(SAMPLE), DIM, "text/paragraph")


# --- codes ---


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_byte_a_dim_loses_no_more_than_half_a_step(seed):
    vectors = unit_length(np.random.default_rng(seed).standard_normal((50, DIM)))
    back = INT8.decode(INT8.encode(vectors))
    # A step is max|x| / 127. Rounding moves each dim by half of one, so the whole by at most sqrt(dim) / 2 of it, and
    # making the length 1 again at most doubles that.
    step = np.abs(vectors).max(axis=1) / 127
    assert (np.linalg.norm(back - vectors, axis=1) <= step * math.sqrt(DIM) + 1e-6).all()


def test_product_codes_keep_more_than_their_centroid():
    vectors = SAMPLE.vectors
    back = PQ.decode(PQ.encode(vectors))
    own = PQ.centroids[PQ.encode(vectors)[:, 0]]
    assert np.vecdot(back, vectors).mean() > max(0.9, np.vecdot(own, vectors).mean())
    assert np.linalg.norm(back, axis=1) == pytest.approx(1, abs=1e-5)


def test_product_codes_are_decoded_with_numpy_alone():
    codes = PQ.encode(SAMPLE.vectors[:100])
    residuals = PQ.parts[np.arange(8), codes[:, 2:]].reshape(100, DIM)
    vectors = PQ.centroids[codes[:, 0] + 256 * codes[:, 1].astype(int)] + residuals
    assert PQ.decode(codes) == pytest.approx(unit_length(vectors), abs=1e-6)


@pytest.mark.parametrize("codebook", [INT8, PQ], ids=["int8", "pq"])
def test_a_codebook_survives_its_file(codebook):
    again = Codebook.from_bytes(codebook.to_bytes())
    assert again.to_bytes() == codebook.to_bytes()
    np.testing.assert_array_equal(again.encode(SAMPLE.vectors), codebook.encode(SAMPLE.vectors))
    assert codebook.encode(SAMPLE.vectors[:3]).shape == (3, codebook.code_bytes)


def test_equal_samples_give_equal_codebooks():
    again = Codebook.trained(SAMPLE.vectors, {PARTS: 8, CENTROIDS: 64})
    assert again.to_bytes() == PQ.to_bytes()


def test_codes_are_refused_where_they_would_lose_the_length():
    with pytest.raises(VectorError, match="length 1"):
        INT8.encode(2 * SAMPLE.vectors)
    with pytest.raises(VectorError, match="at least 256"):
        Codebook.trained(SAMPLE.vectors[:200], {PARTS: 8, CENTROIDS: 16})
    with pytest.raises(ConfigError, match="does not divide"):
        Codebook.trained(SAMPLE.vectors, {PARTS: 7, CENTROIDS: 16})
    with pytest.raises(IntegrityError, match="codebook"):
        Codebook.from_bytes(b"not one")


# --- encodings ---


def fde(**changes: int) -> Fde:
    values = {"repetitions": 20, "bits": 3, "block": DIM, "seed": 1} | changes
    return Fde(INT8.centre, **values)


def test_encodings_do_not_depend_on_their_neighbours():
    encoded = fde().documents([unit.vectors for unit in UNITS[:20]])
    assert encoded.shape == (20, fde().dims)
    for number in (0, 7, 19):
        alone = fde().documents([UNITS[number].vectors])
        assert alone[0].tobytes() == encoded[number].tobytes()
    other = fde(seed=2).documents([UNITS[0].vectors])
    assert (other != encoded[:1]).any()


def test_without_partitions_an_encoding_is_the_mean():
    mean = fde(repetitions=1, bits=0)
    vectors = UNITS[0].vectors
    assert mean.documents([vectors])[0] == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert mean.queries([vectors])[0] == pytest.approx(vectors.sum(axis=0), abs=1e-5)


def test_an_empty_partition_takes_the_vector_with_the_fewest_other_signs():
    vector = UNITS[0].vectors[:1]
    encoded = fde(repetitions=2, bits=2).documents([vector])[0].reshape(2 * 4, DIM)
    # The only vector fills all partitions; each repetition has its share of the inner product.
    assert encoded == pytest.approx(np.repeat(vector / math.sqrt(2), 8, axis=0), abs=1e-6)


def test_the_inner_product_of_encodings_follows_the_sum_of_best_cosines():
    """Without projection, for a unit with one vector, it is that sum exactly.

    Of a unit whose vectors all lie within an angle to one another it lies between the sums of lowest and of
    highest cosines: each query vector meets a mean of some of the unit's vectors, or one of them.
    """
    rng = np.random.default_rng(3)
    queries = [unit_length(rng.standard_normal((4, DIM))) for _ in range(10)]
    encoded = fde().queries(queries) @ fde().documents([u.vectors for u in UNITS]).T
    for query, products in zip(queries, encoded, strict=True):
        for unit, product in zip(UNITS, products.tolist(), strict=True):
            cosines = query.astype(float) @ unit.vectors.T.astype(float)
            assert cosines.min(axis=1).sum() - 1e-4 <= product
            assert product <= cosines.max(axis=1).sum() + 1e-4


def test_more_repetitions_bring_it_nearer():
    rng = np.random.default_rng(4)
    queries = [
        unit_length(unit.vectors[:4] + 0.1 * rng.standard_normal((len(unit.vectors[:4]), DIM)))
        for unit in UNITS[:40]
    ]
    firsts = np.cumsum([0, *(len(query) for query in queries[:-1])])
    exact = all_maxsims(np.concatenate(queries), firsts, SAMPLE.vectors, SAMPLE.starts)
    exact *= np.array([len(query) for query in queries])[:, None]

    def correlation(encoding: Fde) -> float:
        found = encoding.queries(queries) @ encoding.documents([u.vectors for u in UNITS]).T
        pairs = zip(found, exact, strict=True)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))

    few, many = correlation(fde(repetitions=1, bits=4)), correlation(fde(repetitions=20, bits=4))
    assert many > few + 0.1


def test_partitions_agree_as_often_as_angles_say():
    """Of a unit {x, -x} and one bit, a query vector q meets x where their signs agree, else -x.

    They agree with probability p = 1 - angle / pi (Charikar 2002), so a repetition gives (2p - 1) cos on average with a
    deviation of 2 |cos| sqrt(p (1 - p)), and the mean over 40 is within 5 / sqrt(40) of that.
    """
    rng = np.random.default_rng(5)
    centred = Fde(np.zeros(DIM, np.float32), 40, 1, DIM, 1)
    for _ in range(50):
        x, aside = unit_length(rng.standard_normal((2, DIM)))
        query = unit_length(x + rng.uniform(0, 3) * aside)
        cosine = float(query @ x)
        agree = 1 - math.acos(cosine) / math.pi
        found = float(centred.queries([query[None]])[0] @ centred.documents([np.stack([x, -x])])[0])
        deviation = 2 * abs(cosine) * math.sqrt(agree * (1 - agree))
        assert abs(found - (2 * agree - 1) * cosine) <= 5 * deviation / math.sqrt(40) + 1e-5
