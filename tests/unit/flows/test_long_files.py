"""Ranges of long files, in whatever order they come."""

from itertools import permutations

import pytest

from flows.long_files import JoinedArrays, LongFiles
from flows.plan import Contents
from schemas.content import Content
from schemas.engine import Failure
from schemas.source import SourceFile
from stages.messages import JoinRequest, LongFile
from stages.ranges import Piece, even_spans

TYPE = "application/pdf"
LOST = Failure("timeout", "it ran past its deadline", retryable=True)


class Handle:
    """Arrays of one answer."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count, self.nbytes = name, count, 10 * count

    def pick(self, index: int) -> str:
        assert 0 <= index < self.count
        return f"{self.name}{index}"


def source(name: str = "book.pdf") -> SourceFile:
    return SourceFile(f"file:///{name}", "/", name, 1, 0, content_hash="ab" * 32)


def begun(pages: int = 30, size: int = 10) -> tuple[LongFiles, SourceFile, list[str]]:
    files, file = LongFiles(), source()
    files.begin(Contents(file, ()), LongFile(file.source_id, TYPE, even_spans(1, pages, size)))
    keys = []
    while files:
        keys.append(files.next_request()[0])
    return files, file, keys


def piece(number: int) -> tuple[Piece, Handle]:
    return Piece(Content(TYPE, title=str(number)), 2), Handle("abc"[number], 2)


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_pieces_are_joined_in_order_after_the_last(order):
    files, file, keys = begun()
    answers = [files.arrived(keys[number], piece(number)) for number in order]
    assert answers[:2] == [None, None]
    request = answers[2]
    assert isinstance(request, JoinRequest)
    assert (request.file, request.media_type, request.lost) == (file, TYPE, ())
    assert [p.content.title for p in request.pieces] == ["0", "1", "2"]
    joined = files.finish(file.source_id)
    assert [joined.pick(i) for i in range(6)] == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert files.progress() == ()


def test_each_range_asks_for_its_part_of_the_file():
    files, file = LongFiles(), source()
    spans = even_spans(1, 30, 10)
    files.begin(Contents(file, ()), LongFile(file.source_id, TYPE, spans))
    asked = [files.next_request()[1] for _ in spans]
    assert [(request.file, request.span) for request in asked] == [(file, s) for s in spans]


def test_a_lost_range_is_told_with_its_place():
    files, file, keys = begun()
    files.arrived(keys[0], piece(0))
    files.arrived(keys[1], LOST)
    request = files.arrived(keys[2], piece(2))
    (lost,) = request.lost
    assert (lost.code, lost.page, lost.retryable) == ("timeout", 11, True)
    assert lost.reason == "from page 11 up to 21: it ran past its deadline"
    assert [p.content.title for p in request.pieces] == ["0", "2"]
    joined = files.finish(file.source_id)
    assert [joined.pick(i) for i in range(4)] == ["a0", "a1", "c0", "c1"]


def test_a_file_without_any_range_is_lost_for_the_first_reason():
    files, _, keys = begun()
    for key in keys[:0:-1]:
        assert files.arrived(key, Failure("crash", "later")) is None
    assert files.arrived(keys[0], LOST) == LOST
    assert files.progress() == ()


def test_ranges_of_a_file_that_was_given_up_and_begun_again_are_not_taken_for_new_ones():
    files, file, old = begun()
    files.drop(file.source_id)
    assert files.source_of(old[0]) is None
    files.begin(Contents(file, ()), LongFile(file.source_id, TYPE, even_spans(1, 30, 10)))
    new = files.next_request()[0]
    assert files.source_of(old[0]) is None
    assert files.source_of(new) == file.source_id


def test_what_waits_of_a_dropped_file_is_not_asked_for():
    files, file = LongFiles(), source()
    files.begin(Contents(file, ()), LongFile(file.source_id, TYPE, even_spans(1, 30, 10)))
    files.drop(file.source_id)
    assert not files


def test_progress_counts_ranges():
    files, file, keys = begun()
    files.arrived(keys[1], LOST)
    (progress,) = files.progress()
    assert (progress.path, progress.done, progress.total) == (file.path, 1, 3)


def test_a_file_that_is_not_long_has_no_joined_arrays():
    assert LongFiles().finish("a" * 32) is None


def test_arrays_of_none_and_of_several_handles():
    joined = JoinedArrays((Handle("a", 0), Handle("b", 1)))
    assert (joined.count, joined.nbytes, joined.pick(0)) == (1, 10, "b0")
    with pytest.raises(IndexError, match="array 1 of 1"):
        joined.pick(1)
