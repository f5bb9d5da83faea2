import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import IntegrityError, VectorError
from schemas.tables import SEGMENT_ROWS
from stages.index.build import (
    BuildRequest,
    build_segment,
    input_digest,
    segment_digest,
    segment_files,
    with_digests,
)

NOTHING = np.zeros(0, np.uint8)


@pytest.fixture
def material(corpus):
    return corpus.rows(50), corpus.vectors(50)


def test_a_segment_is_three_files_under_its_digest(corpus, material):
    answer = build_segment(corpus.request(*material), material[1], NOTHING)

    ref = answer.value.ref
    files = segment_files(ref, answer.arrays)

    assert ref.rows == ref.live_rows == 50
    assert [f.key for f, _ in files] == [
        f"segments/{ref.digest}/{name}" for name in ("index.faiss", "rows.arrow", "stats.json")
    ]
    for file, data in files:
        assert data.dtype == np.uint8
        assert file.size_bytes == len(data.tobytes())
        assert file.sha256 == hashlib.sha256(data.tobytes()).hexdigest()
    sums = {file.key.rpartition("/")[2]: file.sha256 for file, _ in files}
    assert ref.digest == segment_digest(sums)


@pytest.mark.parametrize("parameters", [{"rescore_bits": 16}, {"rescore_bits": 8}])
def test_coarse_codes_have_the_full_vectors_beside_them(corpus, material, parameters):
    rows, vectors = material

    answer = build_segment(corpus.request(rows, vectors, "binary", **parameters), vectors, NOTHING)

    names = [file.key.rpartition("/")[2] for file in answer.value.ref.files]
    assert names == ["index.faiss", "rows.arrow", "full.npy", "stats.json"]
    full = np.load(corpus.write(answer).full)
    assert full.shape == (50, corpus.dim)
    assert full.dtype.itemsize == parameters["rescore_bits"] // 8


def test_an_index_of_leading_dims_keeps_whole_vectors_too(corpus, material):
    rows, vectors = material

    answer = build_segment(corpus.request(rows, vectors, "flat", dims=8), vectors, NOTHING)

    files = {f.key.rpartition("/")[2]: f for f in answer.value.ref.files}
    assert files["full.npy"].size_bytes > 50 * corpus.dim * 2
    assert files["index.faiss"].size_bytes < 50 * corpus.dim * 2


def test_rows_arrow_opens_with_arrow_alone_and_is_not_compressed(corpus, material):
    request = corpus.request(*material)
    answer = build_segment(request, material[1], NOTHING)

    opened = pa.ipc.open_file(pa.py_buffer(answer.arrays[1]))

    assert opened.schema.equals(SEGMENT_ROWS)
    assert opened.read_all().equals(request.rows)
    assert b"passage 17" in answer.arrays[1].tobytes()


def test_stats_json_tells_what_it_is(corpus, material):
    answer = build_segment(corpus.request(*material), material[1], NOTHING)

    stats = json.loads(answer.arrays[-1].tobytes())

    assert stats["rows"] == 50
    assert stats["digest"] == answer.value.ref.digest
    assert stats["input_digest"] == answer.value.ref.input_digest
    assert (stats["partition"], stats["space"]) == (corpus.partition, corpus.space)


def test_chunks_slices_and_metadata_leave_no_trace(corpus, material):
    request = corpus.request(*material)
    rows, vectors = request.rows, material[1]
    chunked = pa.concat_tables([rows.slice(0, 13), rows.slice(13, 20), rows.slice(33)])
    extra = chunked.append_column("batch", pa.array(["b"] * 50)).replace_schema_metadata({"a": "b"})
    longer = pa.concat_tables([rows.slice(0, 3), rows, rows.slice(0, 9)]).combine_chunks()

    plain = build_segment(request, vectors, NOTHING)
    for same_rows in (extra, longer.slice(3, 50)):
        same = build_segment(BuildRequest(request.kind, same_rows), vectors, NOTHING)
        assert [a.tobytes() for a in plain.arrays] == [a.tobytes() for a in same.arrays]
        assert plain.value == same.value


def test_the_input_digest_is_known_without_building(corpus, material):
    request = corpus.request(*material)

    answer = build_segment(request, material[1], NOTHING)

    assert answer.value.ref.input_digest == input_digest(request, NOTHING)


def test_the_input_digest_changes_with_every_part_of_the_input(corpus, material):
    rows, vectors = material
    nudged = vectors.copy()
    nudged[3, 3] = np.nextafter(nudged[3, 3], np.float32(2))
    renamed = rows.set_column(4, "text", pa.array(["x", *rows.column("text").to_pylist()[1:]]))

    digests = [
        input_digest(corpus.request(rows, vectors), NOTHING),
        input_digest(corpus.request(rows, nudged), NOTHING),
        input_digest(corpus.request(renamed, vectors), NOTHING),
        input_digest(corpus.request(rows, vectors, "ivf_flat", nlist=2), NOTHING),
        input_digest(corpus.request(rows, vectors, "ivf_flat", nlist=3), NOTHING),
        input_digest(corpus.request(rows, vectors), np.ones(1, np.uint8)),
    ]

    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("places", [[0, 0], [1, 0]])
def test_repeated_and_unsorted_ids_are_refused(corpus, material, places):
    request = corpus.request(*material)
    wrong = BuildRequest(request.kind, request.rows.take(pa.array(places)))

    with pytest.raises(IntegrityError, match="at row 1 is repeated or out of order"):
        build_segment(wrong, material[1][:2], NOTHING)


def test_rows_of_another_schema_are_refused(corpus, material):
    request = corpus.request(*material)

    with pytest.raises(IntegrityError, match="do not fit the schema"):
        build_segment(
            BuildRequest(request.kind, request.rows.drop_columns(["acl"])), material[1], NOTHING
        )


def test_vectors_that_do_not_fit_are_refused(corpus, material):
    rows, vectors = material

    with pytest.raises(VectorError, match="50 rows but 49 vectors"):
        build_segment(corpus.request(rows, vectors), vectors[:49], NOTHING)
    with pytest.raises(VectorError, match="ivf_flat needs a trained index"):
        build_segment(corpus.request(rows, vectors, "ivf_flat", nlist=2), vectors, NOTHING)
    with pytest.raises(VectorError, match=r"expected float32 \[n, 32\]"):
        build_segment(corpus.request(rows, vectors), vectors[:, :16], NOTHING)


def test_health_is_taken_where_the_vectors_are(corpus, material):
    rows, vectors = material
    longer = vectors.copy()
    longer[4] *= 2
    longer[5] = 0

    ref = build_segment(corpus.request(rows, longer), longer, NOTHING).value.ref

    assert ref.health["zero_vectors"] == 1
    assert ref.health["norm_error"] == pytest.approx(1)
    assert ref.health["not_finite"] == 0


def test_a_digest_of_each_vector_stands_in_its_row(corpus, material):
    rows, vectors = material
    same = vectors.copy()
    same[7] = same[3]

    digests = with_digests(rows, same)["vector_digest"].to_pylist()

    assert digests[7] == digests[3]
    assert len(set(digests)) == 49
