from hypothesis import given
from hypothesis import strategies as st

from infra.lake import EmbeddedInputs

INPUTS = st.sets(st.tuples(*[st.sampled_from("abc")] * 3))


@given(INPUTS, INPUTS)
def test_embedded_inputs_are_a_set(one, two):
    inputs = EmbeddedInputs(one)
    assert (inputs, len(inputs)) == (one, len(one))
    assert inputs - two == one - two
    for modality, granularity, input_hash in two:
        inputs.add_all(modality, granularity, [input_hash])
    assert inputs == one | two
    for item in two:
        inputs.discard(item)
    assert inputs == one - two
    assert "a" not in inputs
    assert ("a", "b") not in inputs
