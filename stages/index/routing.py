"""What a router judges an index by, computed where the index is built."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np

from schemas.engine import Answer
from schemas.manifest import FileRef
from stages.route.prototypes import prototypes


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """Find the prototypes of one index. The sample of its vectors, float32 [n, dim], travels beside it."""

    partition: str
    space: str


def routing_parts(sample: np.ndarray) -> Answer:
    """Answer(FileRef of the prototypes, an npy, (its bytes as uint8,))."""
    data = _npy_bytes(prototypes(sample))
    sha = hashlib.sha256(data).hexdigest()
    ref = FileRef(f"snapshots/files/{sha}.npy", len(data), sha)
    return Answer(ref, (np.frombuffer(data, dtype=np.uint8),))


def _npy_bytes(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()
