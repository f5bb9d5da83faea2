import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.desk import Key, VectorDesk
from schemas.engine import Failure
from schemas.partition import TEXT_PARAGRAPH
from schemas.space import SpaceContract
from schemas.unit import Locator, Unit
from stages.messages import Milled

SPACE = SpaceContract("t", "t", "t", "1", "", 2, "float32", "text", "mean", buckets=(8,))


def milled(source_id: str, texts: list[str]) -> Milled:
    units = tuple(
        Unit(source_id, TEXT_PARAGRAPH, Locator(part=i), text) for i, text in enumerate(texts)
    )
    return Milled(source_id, "text/plain", "", (), (), units, tuple(1 for _ in units))


def test_one_content_is_asked_for_once_and_completes_all_who_wait():
    desk = VectorDesk((SPACE,))
    first, second = milled("a", ["x", "y"]), milled("b", ["x"])
    asked = desk.enter("a", desk.wants(first)) + desk.enter("b", desk.wants(second))
    assert [want.unit.text for want in asked] == ["x", "y"]
    assert desk.arrived(asked[0].key, np.ones(2), 1) == ["b"]
    assert desk.arrived(asked[1].key, Failure("error", "no"), 1) == ["a"]


def test_a_unit_without_input_wants_nothing():
    desk = VectorDesk((SPACE,))
    assert desk.wants(milled("a", [""])) == []
    assert desk.enter("a", []) == []
    assert desk.is_complete("a")


@given(
    st.lists(st.lists(st.sampled_from("uvwxyz"), max_size=6), max_size=8),
    st.randoms(use_true_random=False),
)
def test_every_source_completes_exactly_once_and_nothing_is_kept(corpus, random):
    desk = VectorDesk((SPACE,))
    sources = {f"s{i}": milled(f"s{i}", texts) for i, texts in enumerate(corpus)}
    asked: list[Key] = []
    complete: list[str] = []

    def finish(source_id: str) -> None:
        for want in desk.wants(sources[source_id]):
            assert desk.result(want.key)[0] is not None
        desk.leave(source_id, desk.wants(sources[source_id]))
        complete.append(source_id)

    events = list(sources)
    while events or asked:
        if events and (not asked or random.random() < 0.5):
            source_id = events.pop()
            fresh = desk.enter(source_id, desk.wants(sources[source_id]))
            asked.extend(want.key for want in fresh)
            if desk.is_complete(source_id):
                finish(source_id)
        else:
            key = asked.pop(random.randrange(len(asked)))
            for source_id in desk.arrived(key, np.ones(2), 1):
                finish(source_id)
    assert sorted(complete) == sorted(sources)
    assert desk.is_empty
