import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.index.digests import vector_digests


@given(arrays(np.float32, (7, 5), elements=st.floats(-2, 2, width=32)))
def test_digests_are_equal_where_vectors_are_and_only_there(vectors):
    digests = vector_digests(vectors)

    for i in range(7):
        for j in range(7):
            assert (digests[i] == digests[j]) == np.array_equal(vectors[i], vectors[j])


def test_a_digest_does_not_depend_on_the_others():
    vectors = np.random.default_rng(0).standard_normal((20_000, 16)).astype(np.float32)

    assert (
        vector_digests(vectors[9000:9003]).tolist() == vector_digests(vectors)[9000:9003].tolist()
    )


def test_digests_stay_what_they_are():
    """They stand in published segments."""
    vectors = np.array([[1, 0], [0, 1], [-1, 0.5]], dtype=np.float32)

    assert vector_digests(vectors).tolist() == [
        7762606751639142400,
        16528130853021155328,
        5093315273558065152,
    ]
