"""One suite over every index family: what any of them promises."""

import hashlib
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import ConfigError, VectorError
from schemas.tables import SEGMENT_ROWS
from stages.index.build import BuildRequest, build_segment
from stages.index.families import FAMILIES, family
from stages.index.recall import make_truth, measure_recall
from stages.index.segments import OpenSegment, search_segments
from stages.index.train import TrainRequest, train, trained_of
from stages.index.tune import tune

DIM = 48
NLIST = 24
FAMILY_NAMES = tuple(FAMILIES)
TRAINED_NAMES = tuple(name for name in FAMILIES if FAMILIES[name].trains)


def clustered(rows: int, *, seed: int = 0, topics: int = 40, dim: int = DIM) -> np.ndarray:
    """Topics of uneven size with their own directions of spread, as encoders give them; unit length."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((topics, dim))
    spread = rng.standard_normal((dim // 4, dim)) / np.sqrt(dim)
    topic = rng.zipf(1.5, rows) % topics
    vectors = centres[topic] + 2 * rng.standard_normal((rows, dim // 4)) @ spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def table(rows: int) -> pa.Table:
    ids = sorted(hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(rows))
    columns = {name: [""] * rows for name in SEGMENT_ROWS.names}
    columns |= {"unit_id": ids, "acl": [[]] * rows}
    columns |= {"locator": ["{}"] * rows, "attributes": ["{}"] * rows}
    return pa.table(columns, schema=SEGMENT_ROWS)


def parameters_of(name: str, nlist: int = NLIST) -> dict[str, int]:
    return {"nlist": nlist} if FAMILIES[name].trains else {}


def everything(name: str, nlist: int = NLIST) -> dict[str, int]:
    effort = family(name).effort(parameters_of(name, nlist))
    return {effort[0]: effort[1]} if effort else {}


def built(name, vectors, tmp_path, *, trained=None, nlist=NLIST):
    parameters = parameters_of(name, nlist)
    if trained is None:
        trained = train(TrainRequest("text/paragraph", "s", name, parameters, DIM), vectors)
    request = BuildRequest("text/paragraph", "s", name, parameters, DIM, table(len(vectors)))
    answer = build_segment(request, vectors, trained)
    paths = []
    for file, data in zip(answer.value.ref.files, answer.arrays, strict=True):
        paths.append(tmp_path / f"{answer.value.ref.digest}.{file.key.rpartition('/')[2]}")
        data.tofile(paths[-1])
    return OpenSegment.open(paths[0], paths[1]), answer, paths


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_a_vector_finds_itself_after_a_round_trip_through_bytes(name, tmp_path):
    vectors = clustered(1000)
    segment, _, _ = built(name, vectors, tmp_path)

    found = search_segments([segment], vectors[::50], 3, name, everything(name))

    assert found.row[:, 0].tolist() == list(range(0, 1000, 50))
    np.testing.assert_allclose(found.similarity[:, 0], 1, atol=5e-3)
    assert (np.diff(found.similarity, axis=1) <= 0).all()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads the mappings Linux lists")
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_a_segment_is_mapped_and_not_read(name, tmp_path):
    segment, _, paths = built(name, clustered(2000), tmp_path)

    mapped = Path("/proc/self/maps").read_text(encoding="utf-8")

    assert segment.index.ntotal == 2000
    assert [path.name for path in paths[:2] if str(path) not in mapped] == []


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_stored_vectors_stay_close_to_what_went_in(name, tmp_path):
    vectors = clustered(1000)
    segment, _, _ = built(name, vectors, tmp_path)

    stored = segment.vectors()

    assert stored.dtype == np.float32
    assert (stored * vectors).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_recall_reaches_the_target_with_the_tuned_effort(name, tmp_path):
    vectors = clustered(3000)
    segment, _, _ = built(name, vectors, tmp_path)
    truth = make_truth([segment], [vectors], 100)

    tuned = tune([segment], [vectors], truth, (name, parameters_of(name)), 0.95)

    assert tuned.recall_at_10 >= 0.95
    assert tuned.recall_at_10 == measure_recall(truth, [segment], [vectors], name, tuned.search)
    assert 0 < tuned.latency_ms_p50 <= tuned.latency_ms_p99


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_equal_input_gives_equal_bytes(name, tmp_path):
    vectors = clustered(1500)

    first, second = (built(name, vectors, tmp_path)[1] for _ in range(2))

    assert first.value == second.value
    for left, right in zip(first.arrays, second.arrays, strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.fixture(scope="module")
def thread_sensitive() -> np.ndarray:
    """Data on which k-means, left alone, gives other bytes on three threads than on one."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((500, 384)).astype(np.float32)
    vectors = centres[rng.integers(0, 500, 60_000)]
    vectors = (vectors + rng.standard_normal((60_000, 384)).astype(np.float32) * 0.9)[:19_968]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED_NAMES)
def test_bytes_do_not_depend_on_the_threads_of_the_process(name, thread_sensitive):
    request = TrainRequest("text/paragraph", "s", name, {"nlist": 512}, 384)
    before = faiss.omp_get_max_threads()
    trained = {}
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            trained[threads] = train(request, thread_sensitive).tobytes()
            assert faiss.omp_get_max_threads() == threads  # pinning gave them back
    finally:
        faiss.omp_set_num_threads(before)

    assert trained[1] == trained[3]


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_an_empty_segment_answers_nothing(name, tmp_path):
    quantiser = train(TrainRequest("p", "s", name, parameters_of(name), DIM), clustered(500))
    segment, _, _ = built(name, np.zeros((0, DIM), np.float32), tmp_path, trained=quantiser)

    found = search_segments([segment], clustered(2), 5, name, everything(name))

    assert found.row.shape == (2, 0)
    assert segment.vectors().shape == (0, DIM)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_one_row_is_enough(name, tmp_path):
    vectors = clustered(1)
    segment, _, _ = built(name, vectors, tmp_path, nlist=1)

    found = search_segments([segment], vectors, 10, name, everything(name, 1))

    assert found.row.tolist() == [[0]]
    truth = make_truth([segment], [vectors], 10)
    assert measure_recall(truth, [segment], [vectors], name, everything(name, 1)) == 1.0


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_more_asked_for_than_there_is(name, tmp_path):
    vectors = clustered(60)
    segment, _, _ = built(name, vectors, tmp_path, nlist=2)

    found = search_segments([segment], vectors[:3], 1000, name, everything(name, 2))

    assert [sorted(row) for row in found.row.tolist()] == [list(range(60))] * 3


@pytest.mark.parametrize("name", TRAINED_NAMES)
def test_few_lists_pad_with_minus_one_and_never_with_a_row(name, tmp_path):
    vectors = clustered(300)
    segment, _, _ = built(name, vectors, tmp_path)

    found = search_segments([segment], vectors[:5], 300, name, {"nprobe": 1})

    assert (found.row[:, -1] == -1).all()
    assert (found.segment[found.row < 0] == -1).all()
    assert all(len(set(r[r >= 0].tolist())) == (r >= 0).sum() for r in found.row)


@pytest.mark.parametrize("name", TRAINED_NAMES)
def test_the_quantiser_comes_back_out_of_a_published_segment(name, tmp_path):
    vectors = clustered(1500)
    trained = train(TrainRequest("p", "s", name, parameters_of(name), DIM), vectors)
    _, _, paths = built(name, vectors[:700], tmp_path, trained=trained)

    assert trained_of(paths[0]).tobytes() == trained.tobytes()


@pytest.mark.parametrize("name", TRAINED_NAMES)
def test_fewer_training_vectors_than_lists_is_refused(name):
    with pytest.raises(VectorError, match="5 training vectors for 24 lists"):
        train(TrainRequest("p", "s", name, parameters_of(name), DIM), clustered(5))


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_metric_is_inner_product(name):
    index = family(name).empty(DIM, parameters_of(name))

    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert index.d == DIM
    assert index.is_trained is not FAMILIES[name].trains


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no index family '__import__'; there are flat"):
        family("__import__")
