"""Kept contents, on a local disk and on S3 against a real server."""

import json
import pickle
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import contents as module
from infra.blobs import open_blobs
from infra.contents import CONTENT, KeptContents, is_content
from schemas.content import Block, Content, SoundContent, SpokenWords
from schemas.content_json import content_from_plain, content_to_plain
from schemas.errors import IntegrityError
from schemas.ids import digest

NOW, BEFORE = digest("now"), digest("before")
ONE, TWO = digest("source", "1"), digest("source", "2")
WORDS = Content(
    "text/plain",
    title="The mill",
    blocks=(
        Block("heading", "The wheel", level=1),
        Block("paragraph", "It turns: \u00e9 \ud800.", page=1, bbox=(0, 0.5, 10.25, 1e-7)),
    ),
    sound=SoundContent(1.5, None, words=(SpokenWords(0.0, 1.0, "it"),), metadata=(("a", "b"),)),
    notes=("a note",),
)


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/lake-{uuid4().hex}"
    return str(tmp_path / "lake \u00e9 #1")


@pytest.fixture
def kept(url: str) -> KeptContents:
    return KeptContents.at(url, NOW)


def test_what_is_kept_is_found_by_its_source_and_read(kept):
    written = kept.keep(ONE, WORDS)
    assert written == sum(kept.sizes().values()) > 0
    (key,) = kept.kept().values()
    assert kept.kept() == {ONE: key}
    assert is_content(key)
    found = kept.read(key)
    assert found == WORDS
    assert [type(x) for x in found.blocks[1].bbox] == [int, float, float, float]
    assert kept.keep(ONE, WORDS) == 0


def test_another_way_of_decoding_finds_nothing_of_it(kept, url):
    kept.keep(ONE, WORDS)
    assert KeptContents.at(url, BEFORE).kept() == {}


def test_a_worker_gets_it_pickled(kept):
    copy = pickle.loads(pickle.dumps(kept.keep)).__self__  # noqa: S301 - as Ray does with what a driver gives it
    copy.keep(ONE, WORDS)
    assert list(kept.kept()) == [ONE]


def test_what_is_of_no_live_source_or_superseded_is_unneeded(kept, url):
    before = KeptContents.at(url, BEFORE)
    before.keep(ONE, WORDS)
    before.keep(TWO, WORDS)
    assert before.unneeded(pa.array([ONE, TWO])) == kept.unneeded(pa.array([ONE, TWO])) == []
    kept.keep(ONE, WORDS)
    open_blobs(url).put(f"{CONTENT}/notes.txt", b"not ours")
    stays = {kept.kept()[ONE], before.kept()[TWO]}
    assert set(kept.unneeded(pa.array([ONE, TWO]))) == kept.sizes().keys() - stays
    only_live = set(KeptContents.at(url, "").unneeded(pa.array([ONE])))
    assert only_live == {before.kept()[TWO], f"{CONTENT}/notes.txt"}


def test_what_is_not_what_its_name_says_is_named(kept, url):
    kept.keep(ONE, WORDS)
    kept.keep(TWO, WORDS)
    one, two = kept.kept()[ONE], kept.kept()[TWO]
    blobs = open_blobs(url)
    blobs.put(one, blobs.get(two))
    with pytest.raises(IntegrityError, match="has another content than its name says"):
        kept.read(one)
    assert set(kept.faults(lambda *_: None)) == {one}
    blobs.put(two, blobs.get(two)[:-4])
    assert set(kept.faults(lambda *_: None)) == {one, two}
    kept.delete(one)
    with pytest.raises(IntegrityError, match="is missing in"):
        kept.read(one)


def test_no_more_than_is_allowed_is_unpacked_or_kept(kept, monkeypatch):
    kept.keep(ONE, WORDS)
    (key,) = kept.kept().values()
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(IntegrityError, match="more than 100 bytes"):
        kept.read(key)
    assert kept.keep(TWO, WORDS) == 0
    assert list(kept.kept()) == [ONE]


@settings(max_examples=30)
@given(st.from_type(Content))
def test_every_content_comes_back_as_it_was(content):
    found = content_from_plain(json.loads(json.dumps(content_to_plain(content))))
    assert repr(found) == repr(
        content
    )  # which tells 1 and 1.0 apart, and not a number is what it is


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        ({"title": "x"}, "a Content has other fields"),
        (
            {"media_type": "a", "sound": {"duration_s": "1", "samples_array": None}},
            "'1' is none of float, int",
        ),
        ({"media_type": "a", "blocks": {"kind": "x"}}, "is none of list"),
        ({"media_type": "a", "nothing": 1}, "a Content has other fields"),
        ([], "a Content has other fields"),
    ],
)
def test_what_is_no_content_is_named(raw, wrong):
    with pytest.raises(ValueError, match=wrong):
        content_from_plain(raw)
