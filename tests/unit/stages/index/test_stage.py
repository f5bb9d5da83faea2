import numpy as np

from schemas.config import Indexing
from schemas.engine import Failure, Task
from stages.index.build import BuildRequest, with_digests
from stages.index.gate import stored_ranges
from stages.index.routing import RoutingRequest
from stages.index.stage import IndexStage
from stages.index.train import TrainRequest
from stages.index.truth import NearestRequest, Truth, merge_nearest
from stages.index.validate import SegmentToCheck, ValidateRequest


def test_one_pool_trains_builds_answers_and_validates(corpus):
    rows, vectors = corpus.rows(300), corpus.vectors(300)
    kind = corpus.kind("ivf_flat", nlist=6)
    queries = corpus.queries(rows, vectors, 40)
    stage = IndexStage()
    stage.setup()

    (trained,) = stage.process([Task(TrainRequest(kind), (vectors,))])
    request = BuildRequest(kind, with_digests(rows, vectors), queries)
    (built,) = stage.process([Task(request, (vectors, *trained.arrays))])
    (near,) = stage.process([Task(NearestRequest(queries, request.rows, kind.metric), (vectors,))])
    (routes,) = stage.process([Task(RoutingRequest(kind.partition, kind.space), (vectors,))])
    np.testing.assert_array_equal(near.value.scores, built.value.nearest.scores)
    truth = Truth(queries, merge_nearest(queries, [built.value.nearest]))
    part = SegmentToCheck(built.value.ref, corpus.write(built), is_new=True)
    originals = np.concatenate([vectors[r.start : r.stop] for r in stored_ranges(300)])
    asked = ValidateRequest(kind, (part,), truth, 300, Indexing())
    (validated,) = stage.process([Task(asked, (originals,))])
    stage.teardown()

    assert built.value.ref.rows == 300
    assert routes.value.size_bytes == routes.arrays[0].nbytes
    assert [c.name for c in validated.value.checks if not c.passed] == []


def test_what_cannot_be_done_is_a_failure_beside_what_can(corpus):
    request = TrainRequest(corpus.kind("ivf_flat", nlist=6))
    bad = np.full((50, corpus.dim), np.nan, np.float32)

    failed, fine = IndexStage().process(
        [Task(request, (bad,)), Task(request, (corpus.vectors(300),))]
    )

    assert isinstance(failed, Failure)
    assert (failed.code, failed.retryable) == ("bad_vector", False)
    assert "vector 0 has NaN" in failed.reason
    assert fine.arrays[0].size
