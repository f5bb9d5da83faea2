"""The lake: Delta tables that become visible through completions, beside immutable blobs. See docs/lake.md."""

from infra.lake.commit import CommitBatch, CommitStep, make_batch_id
from infra.lake.lake import Lake
from infra.lake.read import LakeView
from infra.lake.state import EmbeddedInputs, KnownPath, LakeState, SourceFacts

__all__ = [
    "CommitBatch",
    "CommitStep",
    "EmbeddedInputs",
    "KnownPath",
    "Lake",
    "LakeState",
    "LakeView",
    "SourceFacts",
    "make_batch_id",
]
