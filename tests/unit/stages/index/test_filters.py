import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError, IntegrityError
from schemas.filters import Condition, Filter, number
from schemas.tables import SEGMENT_ROWS
from stages.index import filters
from stages.index.filters import FilterMasks
from tests.unit.stages.index.pieces import rows_of, unit_ids

FACTS = [
    {"year": "2019", "kind": "figure"},
    {"year": "2020", "kind": "table, wide"},
    {"year": "2021.5", "kind": ""},
    {"year": "unknown"},
    {"kind": "figure", "pages": 12, "draft": True, "gone": None, "tags": ["b", "a"]},
    {},
]
PLACES = [{"page": 1}, {"page": 2}, {"page": 10}, {"start_s": 0.5, "end_s": 30}, {"row": 7}, {}]
ROWS = rows_of(
    unit_ids(6),
    attributes=[json.dumps(facts) for facts in FACTS],
    locator=[json.dumps(place) for place in PLACES],
    language=["de", "en", "", "fr", "de", "en"],
    source_id=list("abcabc"),
    parent_id=["p1", "", "p2", "", "p1", ""],
    acl=[[], ["staff"], ["staff", "board"], ["board"], [""], []],
)


def passing(*where, acl=None, rows=ROWS):
    return np.flatnonzero(FilterMasks(rows).mask(Filter.parse(where, acl) or Filter())).tolist()


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("attributes.year = 2020", [1]),
        ("attributes.year = 2020.0", [1]),
        ("attributes.year=2020", [1]),
        ("attributes.year != 2020", [0, 2, 3]),
        ("attributes.year < 2020", [0]),
        ("attributes.year <= 2020", [0, 1]),
        ("attributes.year > 2020", [2]),
        ("attributes.year >= 2.02e3", [1, 2]),
        ("attributes.year exists", [0, 1, 2, 3]),
        ("attributes.year >= unknown", [3]),
        ("attributes.year < z", [0, 1, 2, 3]),
        ("attributes.kind = figure", [0, 4]),
        ("attributes.kind in figure, nothing", [0, 4]),
        ('attributes.kind in ("table, wide",figure)', [0, 1, 4]),
        ('attributes.kind = "table, wide"', [1]),
        ('attributes.kind = ""', [2]),
        ("attributes.kind exists", [0, 1, 2, 4]),
        ("attributes.pages > 3", [4]),
        ("attributes.draft = true", [4]),
        ('attributes.tags = ["b","a"]', [4]),
        ("attributes.gone exists", []),
        ("attributes.nothing exists", []),
        ("attributes.nothing != 1", []),
        ("locator.page > 1", [1, 2]),
        ("locator.page >= 2", [1, 2]),
        ("locator.page in 1, 10", [0, 2]),
        ("locator.start_s <= 0.5", [3]),
        ("locator.row = 7", [4]),
        ("language = de", [0, 4]),
        ("language != de", [1, 3, 5]),
        ("language exists", [0, 1, 3, 4, 5]),
        ("source_id in a, c", [0, 2, 3, 5]),
        ("parent_id = p1", [0, 4]),
        ("parent_id exists", [0, 2, 4]),
    ],
)
def test_a_condition_lets_exactly_these_rows_through(where, rows):
    assert passing(where) == rows


def test_all_conditions_must_hold():
    assert passing("language in de, en", "attributes.year >= 2020") == [1]
    assert passing("locator.page > 1", "locator.page < 10") == [1]


@pytest.mark.parametrize(
    ("acl", "rows"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ([], [0, 5]),
        (["staff"], [0, 1, 2, 5]),
        (["board"], [0, 2, 3, 5]),
        (["staff", "board"], [0, 1, 2, 3, 5]),
        (["nobody"], [0, 5]),
        ([""], [0, 4, 5]),
    ],
)
def test_who_asks_sees_what_is_public_or_shares_a_label(acl, rows):
    assert passing(acl=acl) == rows


def test_unknown_labels_are_shown_to_nobody_who_is_checked():
    rows = rows_of(unit_ids(3), acl=[None, [], ["staff"]])

    assert passing(acl=["staff"], rows=rows) == [1, 2]


def test_chunks_and_slices_are_one_table():
    chunked = pa.concat_tables([ROWS.slice(0, 2), ROWS.slice(2, 1), ROWS.slice(3, 3)])

    for where, acl in [
        ("attributes.year exists", None),
        ("language = de", ["board"]),
        ("locator.page > 1", []),
    ]:
        assert passing(where, acl=acl, rows=chunked) == passing(where, acl=acl)
    assert passing("language = de", acl=["a"], rows=SEGMENT_ROWS.empty_table()) == []


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "2", "10", "x", ""])),
        max_size=8,
    ),
    st.lists(st.lists(st.sampled_from(["s", "t", ""]), max_size=2), min_size=8, max_size=8),
    st.tuples(
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.sampled_from(["1", "2", "10", "x"])
    ),
    st.lists(st.sampled_from(["s", "t", ""]), max_size=2),
)
def test_masks_are_what_row_by_row_reading_gives(facts, labels, condition, asks):
    rows = rows_of(
        unit_ids(len(facts)), attributes=[json.dumps(f) for f in facts], acl=labels[: len(facts)]
    )
    operator, value = condition

    def passes(fact, acl):
        if "a" not in fact or not (not acl or set(acl) & set(asks)):
            return False
        ours, asked = number(fact["a"]), number(value)
        if operator in ("=", "!="):
            return (ours == asked if asked is not None else fact["a"] == value) == (operator == "=")
        if asked is not None and ours is None:
            return False
        left, right = (ours, asked) if asked is not None else (fact["a"], value)
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
            operator
        ]

    expected = [i for i, fact in enumerate(facts) if passes(fact, labels[i])]
    assert passing(f"attributes.a {operator} {value}", acl=asks, rows=rows) == expected


@pytest.mark.parametrize(
    ("columns", "where", "rows"),
    [
        ({"locator": ['{"start_s":0.1}', '{"start_s":3}', "{}"]}, "locator.start_s = 0.1", [0]),
        ({"locator": ['{"page":3}', '{"page":"3"}', '{"page":4}']}, "locator.page = 3", [0, 1]),
        (
            {"attributes": ['{"a":"2020-05-01"}', '{"a":"2021-01-01"}', "{}"]},
            "attributes.a < 2021",
            [],
        ),
        (
            {"attributes": ['{"a":"2020-05-01"}', '{"a":"2021-01-01"}', "{}"]},
            "attributes.a < 2021-01-01",
            [0],
        ),
        (
            {"attributes": ['{"a":"x\\ny"}', '{ "a" : "x" }', '{\n"a": "x"}']},
            "attributes.a = x",
            [1, 2],
        ),
        ({"attributes": ['{"a":"1","a":"2"}', '{"a":"2"}', "{}"]}, "attributes.a = 2", [0, 1]),
        ({"attributes": ['{"é":"ü"}', '{"é":"u"}', "{}"]}, "attributes.é = ü", [0]),
    ],
)
def test_json_of_any_shape_is_read_alike(columns, where, rows):
    assert passing(where, rows=rows_of(unit_ids(3), **columns)) == rows


def test_long_digits_are_ids_not_numbers():
    ids = ["9007199254740993", "9007199254740992"]
    rows = rows_of(unit_ids(2), attributes=[json.dumps({"id": i}) for i in ids])

    assert passing(f"attributes.id = {ids[0]}", rows=rows) == [0]


@pytest.mark.parametrize("broken", ["", "{", "[1]", "3", "{} {}"])
@pytest.mark.parametrize("column", ["attributes", "locator"])
def test_what_is_no_json_object_is_named(broken, column):
    rows = rows_of(unit_ids(2), **{column: ["{}", broken]})

    with pytest.raises(IntegrityError, match=rf"{column} .* in rows\.arrow is no JSON"):
        passing(f"{column}.page exists", rows=rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read the condition ''"),
        ("year", "cannot read the condition 'year'"),
        ("year = 3", "cannot filter by 'year'; there are attributes.NAME"),
        ("attributes. = 3", "cannot filter by 'attributes.'"),
        ("text = mill", "cannot filter by 'text'"),
        ("locator = 3", "cannot filter by 'locator'"),
        ("locator.bbox = 3", "a locator has no 'bbox' to filter by; it has page, start_s"),
        ("language is de", "cannot read the condition 'language is de'"),
        ("language =", "the value is missing"),
        ("language in", "the value is missing"),
        ("language == de", "there is no operator '=='"),
        ("language => de", "there is no operator '=>'"),
        ("attributes.a <> 3", "there is no operator '<>'"),
        ("language exists de", "exists takes no value"),
        ('language = "de', "cannot read the condition"),
    ],
)
def test_nonsense_is_named(text, message):
    with pytest.raises(ConfigError) as refused:
        Filter.parse([text])

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("operator", "values", "message"),
    [
        ("=", (), "0 values, it takes 1"),
        ("in", (), "at least one"),
        ("exists", ("a",), "1 values, it takes 0"),
        ("~", ("a",), "'~' is no operator"),
    ],
)
def test_nonsense_in_code_is_named_too(operator, values, message):
    with pytest.raises(ConfigError, match=message):
        Condition("language", operator, values)


def test_equal_filters_are_equal():
    one = Filter.parse(["language in en, de", "locator.page > 3", "locator.page > 3"], ["b", "a"])
    two = Filter.parse(["locator.page>3", 'language in "de",en'], ["a", "b", "a"])

    assert one == two
    assert hash(one) == hash(two)
    assert Filter.parse() is None
    assert Filter.parse(acl=[]) == Filter(acl=())


def test_a_filter_is_decided_once_and_only_the_last_are_kept(monkeypatch):
    read = []
    whole = filters._read_field
    monkeypatch.setattr(
        filters, "_read_field", lambda rows, name: read.append(name) or whole(rows, name)
    )
    masks = FilterMasks(ROWS)

    asked = [Filter.parse([f"locator.page > {i}"]) for i in range(20)]
    first = [masks.mask(where) for where in asked]
    assert masks.mask(asked[-1]) is first[-1]
    assert masks.mask(asked[0]) is not first[0]
    assert read == ["locator.page"]
    with pytest.raises(ValueError, match="read-only"):
        first[0][0] = True


def test_threads_may_ask_at_once():
    masks = FilterMasks(ROWS)
    asked = [Filter.parse([f"locator.page > {i % 30}"], ["staff"]) for i in range(300)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(masks.mask, asked))

    for where, mask in zip(asked, found, strict=True):
        np.testing.assert_array_equal(mask, FilterMasks(ROWS).mask(where))
