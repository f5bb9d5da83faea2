import os
from pathlib import Path

import pytest

from flows.listing import hash_files, list_sources
from schemas.errors import ConfigError


def names(listing):
    return [file.path for file in listing.files]


def test_lists_files_below_a_folder_in_order(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("2")
    (tmp_path / "a.txt").write_text("1")
    listing = list_sources([str(tmp_path)])
    assert names(listing) == ["a.txt", "b/two.txt"]
    assert listing.files[0].size_bytes == 1
    assert listing.files[0].root == tmp_path.as_uri()


def test_a_file_given_directly_has_its_name_as_path(tmp_path: Path):
    (tmp_path / "a.txt").write_text("1")
    assert names(list_sources([str(tmp_path / "a.txt")])) == ["a.txt"]


def test_the_same_place_given_twice_is_found_once(tmp_path: Path):
    (tmp_path / "a.txt").write_text("1")
    listing = list_sources([str(tmp_path), tmp_path.as_uri(), str(tmp_path)])
    assert names(listing) == ["a.txt"]


def test_odd_names_are_found_and_have_distinct_uris(tmp_path: Path):
    odd = [b"sp ace", b"new\nline", b"\xff\xfe", b"per%20cent", b"hash#mark"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    listing = list_sources([str(tmp_path)])
    assert len({file.uri for file in listing.files}) == len(odd)
    assert sorted(os.fsencode(name) for name in names(listing)) == sorted(odd)
    assert all(file.content_hash for file, _ in hash_files(listing.files))


def test_what_is_no_regular_file_is_accounted_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    listing = list_sources([str(tmp_path)])
    assert names(listing) == ["link", "real"]
    assert {file.path: reason.partition(":")[0] for file, reason in listing.unreadable} == {
        "dangling": "cannot be looked at",
        "loop": "a link to a folder, which is not followed",
        "pipe": "not a regular file (a pipe, socket or device)",
    }


def test_the_lake_inside_a_source_is_left_out(tmp_path: Path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "part.parquet").write_text("x")
    (tmp_path / "a.txt").write_text("x")
    assert names(list_sources([str(tmp_path)], exclude=str(tmp_path / "lake"))) == ["a.txt"]


def test_a_source_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        list_sources([str(tmp_path / "nowhere")])


def test_a_source_of_an_unknown_kind_is_refused():
    with pytest.raises(
        ConfigError, match=r"ftp://.* cannot be read: give a path, or one of .*s3://"
    ):
        list_sources(["ftp://host/corpus"])


def test_a_file_uri_means_what_it_encodes(tmp_path: Path):
    (tmp_path / "per cent").mkdir()
    (tmp_path / "per cent" / "a.txt").write_text("1")
    assert names(list_sources([(tmp_path / "per cent").as_uri()])) == ["a.txt"]


def test_a_folder_without_files_is_a_source(tmp_path: Path):
    assert list_sources([str(tmp_path)]).bare == ()


def test_a_file_that_vanishes_before_hashing_has_a_reason(tmp_path: Path):
    (tmp_path / "a.txt").write_text("x")
    listing = list_sources([str(tmp_path)])
    (tmp_path / "a.txt").unlink()
    ((file, reason),) = hash_files(listing.files)
    assert "cannot be read" in reason
    assert not file.content_hash
