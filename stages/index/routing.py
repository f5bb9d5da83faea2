"""What a router needs to know of an index, computed where the index is built."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np

from schemas.engine import Answer
from schemas.manifest import FileRef
from stages.route.calibrate import calibrate
from stages.route.prototypes import prototypes


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """Calibrate one index and find its prototypes.

    Beside it travel its vectors, float32 [n, dim], the sample of them to find prototypes in, [m, dim], and the
    embedded background questions, [n_questions, dim].
    """

    partition: str
    space: str


@dataclass(frozen=True, slots=True)
class RoutingParts:
    """What routing adds to an index: calibration numbers and the file of prototypes."""

    calibration: dict[str, float]
    prototypes: FileRef | None = None


def routing_parts(vectors: np.ndarray, sample: np.ndarray, background: np.ndarray) -> Answer:
    """Answer(RoutingParts, (bytes of the file of prototypes, an npy, as uint8,))."""
    data = _npy_bytes(prototypes(sample))
    sha = hashlib.sha256(data).hexdigest()
    ref = FileRef(f"snapshots/files/{sha}.npy", len(data), sha)
    parts = RoutingParts(calibrate(vectors, background), ref)
    return Answer(parts, (np.frombuffer(data, dtype=np.uint8),))


def _npy_bytes(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()
