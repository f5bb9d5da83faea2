"""Kept pixels, on a local disk and on S3 against a real server."""

import pickle
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from infra import payloads as module
from infra.blobs import open_blobs
from infra.payloads import PAYLOADS, Payloads, hash_in, key_of, pack, unpack
from schemas.errors import IntegrityError
from schemas.pixels import hash_pixels

SIDE = 8
PICTURES = [
    np.full((n, SIDE, SIDE, 3), value, np.uint8) for n, value in ((1, 0), (1, 255), (16, 9))
]
BY_HASH = {hash_pixels(picture): picture for picture in PICTURES}


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/lake-{uuid4().hex}"
    return str(tmp_path / "lake é #1")


@pytest.fixture
def kept(url: str) -> Payloads:
    return Payloads.at(url)


def test_what_is_kept_is_read_in_the_order_asked(kept):
    written = kept.keep(BY_HASH)
    assert written == sum(kept.sizes().values()) > 0
    assert kept.kept(SIDE) == set(BY_HASH)
    assert kept.kept(SIDE + 1) == set()
    asked = [*reversed(BY_HASH), next(iter(BY_HASH))]
    for found, name in zip(kept.read(SIDE, asked), asked, strict=True):
        assert (found.dtype, found.tolist()) == (np.uint8, BY_HASH[name].tolist())


def test_what_is_there_is_not_written_again(kept):
    kept.keep(BY_HASH)
    before = kept.sizes()
    assert kept.keep(BY_HASH) == 0
    assert kept.sizes() == before


def test_a_worker_gets_it_pickled(kept, url):
    copy = pickle.loads(pickle.dumps(kept.keep)).__self__  # noqa: S301 - as Ray does with what a driver gives it
    copy.keep(BY_HASH)
    assert kept.kept(SIDE) == set(BY_HASH)


def test_what_is_missing_is_named(kept):
    with pytest.raises(IntegrityError, match="is missing in"):
        kept.read(SIDE, [hash_pixels(PICTURES[0])])


def test_only_what_no_live_unit_has_is_unneeded(kept, url):
    kept.keep(BY_HASH)
    open_blobs(url).put(f"{PAYLOADS}/notes.txt", b"not ours")
    stays, *goes = BY_HASH
    live = pa.chunked_array([["", stays], [stays]], pa.string())
    assert {hash_in(key) for key in kept.unneeded(live)} == {"", *goes}


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "another", "huge"])
def test_damage_is_found_and_never_read(kept, url, damage, monkeypatch):
    kept.keep(BY_HASH)
    name, other = list(BY_HASH)[:2]
    blobs, key = open_blobs(url), key_of(SIDE, name)
    data = bytearray(blobs.get(key))
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "huge":
        monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    else:
        data = {"cut": data[:-4], "empty": b"", "another": blobs.get(key_of(SIDE, other))}[damage]
    blobs.put(key, bytes(data))
    if damage != "huge":
        assert list(kept.faults(lambda *_: None)) == [key]
    with pytest.raises(IntegrityError, match=key):
        kept.read(SIDE, [name])


def test_what_is_too_large_is_not_kept(kept, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", PICTURES[0].nbytes)
    kept.keep(BY_HASH)
    assert kept.kept(SIDE) == {hash_pixels(picture) for picture in PICTURES[:2]}


SOUNDS = {f"{n:032x}": np.arange(n, dtype=np.int16) for n in (1, 480, 16_000)}


def test_sounds_are_kept_beside_pixels_by_their_units(kept):
    kept.keep(BY_HASH | SOUNDS)
    assert kept.kept(0) == set(SOUNDS)
    assert kept.kept(SIDE) == set(BY_HASH)
    for found, name in zip(kept.read(0, list(SOUNDS)), SOUNDS, strict=True):
        assert (found.dtype, found.tolist()) == (np.int16, SOUNDS[name].tolist())
    assert kept.faults(lambda *_: None) == {}
    live = pa.array(list(BY_HASH)), pa.array(list(SOUNDS)[1:])
    assert kept.unneeded(*live) == [key_of(0, next(iter(SOUNDS)))]


def test_the_sound_of_another_unit_is_none(kept):
    one, other, _ = SOUNDS
    kept.keep(SOUNDS)
    blobs = open_blobs(kept.__reduce__()[1][0])
    blobs.put(key_of(0, one), blobs.get(key_of(0, other)))
    blobs.put(key_of(0, "f" * 32), pack(SOUNDS[one], "0" * 32))
    for name in (one, "f" * 32):
        with pytest.raises(IntegrityError, match=f"{name}.* has other values than its name says"):
            kept.read(0, [name])
    assert set(kept.faults(lambda *_: None)) == {key_of(0, one), key_of(0, "f" * 32)}


@given(st.data(), arrays.arrays(np.int16, st.integers(1, 50)))
def test_a_changed_byte_never_gives_another_sound(data, sound):
    with TemporaryDirectory() as folder:
        kept, name = Payloads.at(folder), "ab" * 16
        kept.keep({name: sound})
        blobs = open_blobs(folder)
        packed = bytearray(blobs.get(key_of(0, name)))
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
        blobs.put(key_of(0, name), bytes(packed))
        try:
            (found,) = kept.read(0, [name])
        except IntegrityError:
            return
        assert found.tolist() == sound.tolist()


pixels = st.integers(1, 9).flatmap(
    lambda side: arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 4), *map(st.just, (side, side, 3)))
    )
)


@given(pixels)
def test_packed_pixels_come_back(picture):
    for layout in (picture, np.asfortranarray(picture)):
        assert pack(layout) == pack(picture)
    found = unpack(pack(picture), "it")
    assert (found.shape, found.tobytes()) == (picture.shape, picture.tobytes())


@given(st.data(), pixels)
def test_a_changed_byte_never_gives_other_pixels_under_the_name(data, picture):
    packed = bytearray(pack(picture))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = unpack(bytes(packed), "it")
    except IntegrityError:
        return
    assert found.tobytes() == picture.tobytes() or hash_pixels(found) != hash_pixels(picture)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(junk):
    for data in (junk, pa.compress(junk, "zstd", asbytes=True)):
        with pytest.raises(IntegrityError, match="it"):
            unpack(data, "it")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
        np.zeros((1, 4, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.array([[[[print]]]], object),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_only_pixels_of_encoders_are_payloads(array):
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    with pytest.raises(IntegrityError, match=r"it (has not the bytes|cannot be read)"):
        unpack(pa.compress(file.getvalue(), "zstd", asbytes=True), "it")


def test_a_head_that_states_more_than_there_may_be_is_refused():
    file = BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 8, 8, 3)}
    )
    with pytest.raises(IntegrityError, match="it has not the bytes"):
        unpack(pa.compress(file.getvalue(), "zstd", asbytes=True), "it")


def test_other_tools_read_it(tmp_path):
    """As `zstd -d` and `numpy.load` would."""
    data = pa.input_stream(pa.BufferReader(pack(PICTURES[2])), compression="zstd").read()
    assert np.load(BytesIO(data), allow_pickle=False).tolist() == PICTURES[2].tolist()
