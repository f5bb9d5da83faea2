import numpy as np

from schemas.config import Indexing
from schemas.engine import Failure, Task
from stages.index.stage import IndexStage
from stages.index.train import TrainRequest
from stages.index.validate import ValidateRequest


def test_one_pool_trains_builds_and_validates(corpus):
    rows, vectors = corpus.rows(300).sort_by("unit_id"), corpus.vectors(300)
    head = (corpus.partition, corpus.space, "ivf_flat", {"nlist": 6})
    stage = IndexStage()
    stage.setup()

    (trained,) = stage.process([Task(TrainRequest(*head, corpus.dim), (vectors,))])
    request = corpus.request(rows, "ivf_flat", nlist=6)
    (built,) = stage.process([Task(request, (vectors, *trained.arrays))])
    files = (tuple(str(p) for p in corpus.write(built))[:2],)
    validate = ValidateRequest(*head, files, 300, Indexing())
    (validated,) = stage.process([Task(validate, (vectors,))])
    stage.teardown()

    assert built.value.ref.rows == 300
    assert all(check.passed for check in validated.value.checks)


def test_what_cannot_be_done_is_a_failure_beside_what_can(corpus):
    request = TrainRequest(corpus.partition, corpus.space, "ivf_flat", {"nlist": 6}, corpus.dim)
    bad = np.full((50, corpus.dim), np.nan, np.float32)

    failed, fine = IndexStage().process(
        [Task(request, (bad,)), Task(request, (corpus.vectors(300),))]
    )

    assert isinstance(failed, Failure)
    assert (failed.code, failed.retryable) == ("bad_vector", False)
    assert "vector 0 has NaN" in failed.reason
    assert fine.arrays[0].size
