import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import IntegrityError, VectorError
from schemas.tables import SEGMENT_ROWS
from stages.index.build import (
    build_segment,
    input_digest,
    segment_digest,
    segment_files,
)
from stages.index.shards import split, take_rows

NOTHING = np.zeros(0, np.uint8)


@pytest.fixture
def material(corpus):
    rows, vectors = corpus.rows(50), corpus.vectors(50)
    return take_rows(rows, vectors, split(rows.column("unit_id").to_pylist(), 1)[0])


def test_a_segment_is_three_files_under_its_digest(corpus, material):
    rows, vectors = material
    answer = build_segment(corpus.request(rows), vectors, NOTHING)

    files = segment_files(answer.value, answer.arrays)

    ref = answer.value.ref
    assert ref.rows == 50
    assert [f.key for f, _ in files] == [
        f"segments/{ref.digest}/{name}" for name in ("index.faiss", "rows.arrow", "stats.json")
    ]
    for file, data in files:
        assert data.dtype == np.uint8
        assert file.size_bytes == len(data.tobytes())
        assert file.sha256 == hashlib.sha256(data.tobytes()).hexdigest()
    assert ref.digest == segment_digest(files[0][0].sha256, files[1][0].sha256)


def test_rows_arrow_opens_with_arrow_alone_and_is_not_compressed(corpus, material):
    rows, vectors = material
    answer = build_segment(corpus.request(rows), vectors, NOTHING)

    opened = pa.ipc.open_file(pa.py_buffer(answer.arrays[1]))

    assert opened.schema.equals(SEGMENT_ROWS)
    assert opened.read_all().equals(rows)
    assert b"passage 17" in answer.arrays[1].tobytes()


def test_stats_json_tells_what_it_is(corpus, material):
    rows, vectors = material
    answer = build_segment(corpus.request(rows), vectors, NOTHING)

    stats = json.loads(answer.arrays[2].tobytes())

    assert stats["rows"] == 50
    assert stats["digest"] == answer.value.ref.digest
    assert stats["input_digest"] == answer.value.ref.input_digest
    assert (stats["partition"], stats["space"]) == (corpus.partition, corpus.space)


def test_chunks_slices_and_metadata_leave_no_trace(corpus, material):
    rows, vectors = material
    chunked = pa.concat_tables([rows.slice(0, 13), rows.slice(13, 20), rows.slice(33)])
    extra = chunked.append_column("batch", pa.array(["b"] * 50)).replace_schema_metadata({"a": "b"})

    longer = pa.concat_tables([rows.slice(0, 3), rows, rows.slice(0, 9)]).combine_chunks()

    plain = build_segment(corpus.request(rows), vectors, NOTHING)
    for same_rows in (extra, longer.slice(3, 50)):
        same = build_segment(corpus.request(same_rows), vectors, NOTHING)
        assert [a.tobytes() for a in plain.arrays] == [a.tobytes() for a in same.arrays]
        assert plain.value == same.value


def test_the_input_digest_is_known_without_building(corpus, material):
    rows, vectors = material
    request = corpus.request(rows)

    answer = build_segment(request, vectors, NOTHING)

    assert answer.value.ref.input_digest == input_digest(request, vectors, NOTHING)


def test_the_input_digest_changes_with_every_part_of_the_input(corpus, material):
    rows, vectors = material
    nudged = vectors.copy()
    nudged[3, 3] = np.nextafter(nudged[3, 3], np.float32(2))
    renamed = rows.set_column(4, "text", pa.array(["x", *rows.column("text").to_pylist()[1:]]))

    digests = [
        input_digest(corpus.request(rows), vectors, NOTHING),
        input_digest(corpus.request(rows), nudged, NOTHING),
        input_digest(corpus.request(renamed), vectors, NOTHING),
        input_digest(corpus.request(rows, "ivf_flat", nlist=2), vectors, NOTHING),
        input_digest(corpus.request(rows, "ivf_flat", nlist=3), vectors, NOTHING),
        input_digest(corpus.request(rows), vectors, np.ones(1, np.uint8)),
    ]

    assert len(set(digests)) == len(digests)


def test_repeated_and_unsorted_ids_are_refused(corpus, material):
    rows, vectors = material

    with pytest.raises(IntegrityError, match="at row 1 is repeated or out of order"):
        build_segment(corpus.request(rows.take(pa.array([0, 0]))), vectors[:2], NOTHING)
    with pytest.raises(IntegrityError, match="at row 1 is repeated or out of order"):
        build_segment(corpus.request(rows.take(pa.array([1, 0]))), vectors[:2], NOTHING)


def test_rows_of_another_schema_are_refused(corpus, material):
    rows, vectors = material

    with pytest.raises(IntegrityError, match="do not fit the schema"):
        build_segment(corpus.request(rows.drop_columns(["acl"])), vectors, NOTHING)


def test_vectors_that_do_not_fit_are_refused(corpus, material):
    rows, vectors = material

    with pytest.raises(VectorError, match="50 rows but 49 vectors"):
        build_segment(corpus.request(rows), vectors[:49], NOTHING)
    with pytest.raises(VectorError, match="ivf_flat needs a trained index"):
        build_segment(corpus.request(rows, "ivf_flat", nlist=2), vectors, NOTHING)
