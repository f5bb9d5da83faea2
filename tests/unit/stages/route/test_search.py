import json
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.errors import ConfigError, IntegrityError
from schemas.partition import ALL_PARTITIONS, IMAGE_IMAGE, TEXT_PARAGRAPH
from stages.index.snapshot import OpenSnapshot
from stages.route.evaluate import evaluate, read_queries
from stages.route.routes import ROUTES
from stages.route.search import Retriever
from tests.unit.stages.route.toy import PIXELS, TEXT, Item, Words, retriever

ITEMS = [
    Item("text/paragraph", "mill.txt", "the mill wheel turns in the stream"),
    Item("text/paragraph", "mill.txt", "the miller repairs the wheel of the mill"),
    Item("text/paragraph", "book.pdf", "owls hunt mice at night", page=1),
    Item("text/paragraph", "book.pdf", "owls nest in barns", page=2),
    Item("text/paragraph", "bread.txt", "rye bread rises slowly"),
    Item("page/page", "book.pdf", "owls nest in barns", page=2),
    Item("image/image", "owl.png", "two brown owls with big eyes"),
    Item("image/image", "cat.png", "tabby cat on a sack of grain"),
    Item("image/image", "heron.png", "grey heron in shallow water"),
    Item("audio/segment", "talk.mp3", "the wheel was repaired twice"),
    Item("audio/segment", "song.mp3", "a song about rain"),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return retriever(tmp_path_factory.mktemp("toy"), ITEMS, **{"a copy.txt": "bread.txt"})


def test_every_partition_has_a_described_route():
    assert set(ROUTES) == {str(partition) for partition in ALL_PARTITIONS}
    assert all(route.sentences and route.names for route in ROUTES.values())


def test_a_question_finds_its_answer_with_place_and_text(asked):
    (hit,) = asked.search("rye bread", k=1).hits
    assert (hit.rank, hit.partition, hit.text) == (1, "text/paragraph", "rye bread rises slowly")
    assert hit.path == "a copy.txt"  # of several places the first by path
    assert 0.5 < hit.score <= 1


def test_routes_are_weights_that_sum_to_one_best_first(asked):
    for question in ("rye bread", "a photo of a tabby cat", "xyzzy", ""):
        routes = asked.search(question).routes
        assert sum(route.weight for route in routes) == pytest.approx(1)
        weights = [route.weight for route in routes]
        assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("a photo of owls", {"image/image"}),
        ("someone says the wheel was repaired", {"audio/segment"}),
        ("which page of the manual is about owls", {"page/page", "text/paragraph"}),
    ],
)
def test_naming_the_kind_routes_to_it(asked, question, named):
    plain = question.replace("photo", "").replace("says", "").replace("page of the manual", "")
    weight, without = (
        sum(route.weight for route in asked.search(text).routes if route.partition in named)
        for text in (question, plain)
    )
    assert weight > max(0.5, without)


def test_topic_routes_to_the_partition_that_has_it(asked):
    assert asked.search("grey heron").routes[0].partition == "image/image"
    assert asked.search("rye bread rises").routes[0].partition == "text/paragraph"


def test_a_space_of_small_cosines_is_not_drowned(asked):
    """In raw cosine any passage with a word of the question beats the picture that is exactly it."""
    question = "grey heron standing in the stream"
    unified = asked.search(question, k=1, way="unified").hits[0]
    routed = asked.search(question, k=1).hits[0]
    assert unified.partition == "text/paragraph"
    assert routed.path == "heron.png"


def test_a_document_is_one_hit_and_a_page_where_pages_are_asked(asked):
    hits = asked.search("owls mill wheel", k=10).hits
    assert len({hit.source_id for hit in hits}) == len(hits)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    pages = asked.search_all(["owls nest in barns and hunt at night"], 10, collapse="page")[0].hits
    assert {hit.locator["page"] for hit in pages if hit.path == "book.pdf"} == {1, 2}


def test_scores_fall_with_rank(asked):
    for way in ("routed", "unified"):
        scores = [hit.score for hit in asked.search("the owls of the mill", way=way).hits]
        assert scores == sorted(scores, reverse=True)


def test_one_partition_can_be_asked_alone(asked):
    result = asked.search("owls", route="image/image")
    assert {hit.partition for hit in result.hits} == {"image/image"}
    assert [(r.partition, r.weight) for r in result.routes] == [("image/image", 1.0)]
    with pytest.raises(ConfigError, match=r"video/clip.*text/paragraph"):
        asked.search("owls", route="video/clip")


def test_company_does_not_change_an_answer(asked):
    questions = ["owls", "a photo of a cat", "who repairs the wheel?"]
    together = asked.search_all(questions, 5)
    assert together == [asked.search_all([question], 5)[0] for question in questions]


def test_without_its_text_space_every_partition_that_is_left_is_asked(asked):
    seen = Retriever(asked.snapshot, {PIXELS.key: Words(PIXELS)})
    result = seen.search("owls")
    assert {route.weight for route in result.routes} == {1 / len(seen.partitions)}
    assert {
        index.partition for index in asked.snapshot.manifest.indexes if index.space == PIXELS.key
    } == set(seen.partitions)
    assert {hit.partition for hit in result.hits} <= set(seen.partitions)


def test_a_snapshot_without_a_text_space_is_refused(asked):
    blind = replace(asked.snapshot.manifest, spaces=(PIXELS,))
    with pytest.raises(ConfigError, match="text space"):
        Retriever(OpenSnapshot(blind, Path), {PIXELS.key: Words(PIXELS)})


def test_prototypes_that_are_no_array_are_named(asked, tmp_path):
    copy = retriever(tmp_path, ITEMS).snapshot
    ref = copy.entry(IMAGE_IMAGE, PIXELS.key).prototypes
    (tmp_path / ref.key).write_bytes(b"no array")
    with pytest.raises(IntegrityError, match="npy"):
        copy.prototypes(IMAGE_IMAGE, PIXELS.key)
    assert len(copy.prototypes(TEXT_PARAGRAPH, TEXT.key)) == 5


# --- evaluate


def write(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def table(found, title):
    return {
        (row.get("modality", row.get("route")), row["way"]): row for row in found["tables"][title]
    }


def test_evaluate_measures_three_ways_by_modality_and_route(asked, tmp_path):
    queries = write(
        tmp_path / "q.jsonl",
        {"query": "rye bread", "modality": "text", "relevant": ["bread.txt"]},
        {"query": "owls nest in barns", "modality": "page", "relevant": ["book.pdf#page=2"]},
        {"query": "a photo of a tabby cat", "modality": "image", "relevant": ["cat.png"]},
        {"query": "a dragon", "modality": "image", "relevant": ["dragon.png"]},
    )
    found = evaluate(asked, read_queries(queries))
    rows = table(found, "By modality")
    assert found["queries"] == 4
    assert {way for _, way in rows} == {"routed", "unified", "oracle"}
    assert rows["text", "routed"]["R@1"] == 1  # under the name of its copy too
    assert rows["page", "routed"]["R@1"] == 1
    assert rows["image", "oracle"]["R@1"] == 0.5
    assert rows["all", "oracle"]["queries"] == 4
    first = table(found, "By first route")
    assert sum(row["queries"] for (route, _), row in first.items() if route != "all") == 4


def test_answers_that_are_right_too_are_no_errors(asked, tmp_path):
    row = {"query": "owls", "modality": "image", "relevant": ["owl.png"]}
    hindered = evaluate(asked, read_queries(write(tmp_path / "a.jsonl", row)))
    row["also_relevant"] = ["book.pdf"]
    excused = evaluate(asked, read_queries(write(tmp_path / "b.jsonl", row)))
    assert table(excused, "By modality")["all", "unified"]["MRR"] == 1
    assert table(hindered, "By modality")["all", "unified"]["MRR"] < 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no queries"), ('{"query": "x"}', "line 1"), ("[]", "line 1"), ("{", "line 1")],
)
def test_queries_that_cannot_be_read_name_the_line(tmp_path, text, words):
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_queries(path)


def test_hits_meet_every_condition(asked):
    plain = asked.search("owls", route="text/paragraph").hits
    assert len(plain) > 1

    second = asked.search("owls", route="text/paragraph", where=["locator.page >= 2"]).hits
    assert [hit.text for hit in second] == ["owls nest in barns"]
    none = asked.search("owls", where=["locator.page >= 2", "locator.page < 2"])
    assert none.hits == ()
    assert none.routes == asked.search("owls").routes
    with pytest.raises(ConfigError, match="cannot filter by 'page'"):
        asked.search("owls", where=["page = 2"])


def test_who_asks_sees_what_is_public_or_shares_a_label(tmp_path):
    papers = [
        Item("text/paragraph", "open.txt", "the mill of the village"),
        Item("text/paragraph", "staff.txt", "the mill of the staff", acl=("staff",)),
        Item("text/paragraph", "board.txt", "the mill of the board", acl=("board", "audit")),
    ]
    search = retriever(tmp_path, papers).search

    def paths(acl):
        return sorted(hit.path for hit in search("mill", acl=acl).hits)

    assert paths(None) == ["board.txt", "open.txt", "staff.txt"]
    assert paths([]) == ["open.txt"]
    assert paths(["staff"]) == ["open.txt", "staff.txt"]
    assert paths(["audit", "nobody"]) == ["board.txt", "open.txt"]


def test_a_hit_that_looks_like_a_better_one_says_so_and_stays(tmp_path):
    items = [
        Item("image/image", "best.png", "heron heron in the mill stream", phash="00000000000000ff"),
        Item("image/image", "copy.png", "heron in the stream", phash="000000000000000f"),
        Item("image/image", "other.png", "heron at dusk in the reeds", phash="ffffffff00000000"),
        Item("image/image", "plain.png", "heron"),
        Item("text/paragraph", "a.txt", "rye bread"),
    ]
    hits = retriever(tmp_path, items).search("heron in the mill stream", route="image/image").hits
    assert len(hits) == 4
    by_path = {hit.path: hit for hit in hits}
    first, second = sorted((by_path["best.png"], by_path["copy.png"]), key=lambda hit: hit.rank)
    assert second.near_duplicate_of == first.unit_id
    assert first.near_duplicate_of == ""
    assert by_path["other.png"].near_duplicate_of == by_path["plain.png"].near_duplicate_of == ""


def test_a_hit_on_what_is_said_of_a_unit_shows_the_unit_once(tmp_path):
    items = [
        Item("text/paragraph", "mill.txt", "the stones are dressed in spring"),
        Item("text/paragraph", "mill.txt", "when do they sharpen millstones", derived=True),
        Item("text/paragraph", "bread.txt", "rye bread rises slowly"),
    ]
    search = retriever(tmp_path, items).search
    hits = search("when do they sharpen millstones", k=3).hits
    assert [hit.path for hit in hits] == ["mill.txt", "bread.txt"]
    assert hits[0].text == "the stones are dressed in spring"
    assert hits[0].found_by == "when do they sharpen millstones"
    assert hits[1].found_by == ""
    by_itself = search("the stones are dressed in spring", k=3).hits[0]
    assert (by_itself.unit_id, by_itself.found_by) == (hits[0].unit_id, "")


def test_a_hit_on_a_unit_in_no_index_has_its_id_and_place(tmp_path):
    items = [
        Item("text/paragraph", "book.pdf", "the stones are dressed", page=7),
        Item("text/paragraph", "book.pdf", "when to sharpen millstones", page=7, derived=True),
    ]
    asked = retriever(tmp_path, items)
    parent = asked.search("the stones are dressed").hits[0]
    lone = retriever(tmp_path / "lone", [items[0], items[1], Item("page/page", "a.pdf", "x")])
    lone.snapshot.find = lambda *_: None
    (hit,) = lone.search("when to sharpen millstones", k=1).hits
    assert (hit.unit_id, hit.locator, hit.text) == (parent.unit_id, {"page": 7}, "")
    assert hit.found_by == "when to sharpen millstones"
