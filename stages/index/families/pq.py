"""Product quantisation (Jegou et al. 2011) in lists, 4 bits a part, scanned in registers (André et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError
from stages.index.families import _faiss

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from schemas.space import Metric

# 8 bits a part would rank better at the same size, but k-means over 256 centroids for each of 48 parts took 160 s on
# one thread where 16 centroids take 1.5 s, and its tables do not fit registers.
BITS: Final = 4
_POINTS_PER_CENTROID: Final = 4096  # faiss' default is 256; 16 centroids are cheap to train well
OPQ_ITERATIONS: Final = 8
OPQ_TRAIN_ROWS: Final = 16_384


@dataclass(frozen=True, slots=True)
class ProductCodes:
    """Parameter ``m``: how many parts a vector is cut into; it divides the dims.

    Attributes:
        optimised: Rotate first, so that parts share the variance evenly (OPQ, Ge et al. 2013).
        least_rows: Of training vectors: one for each centroid.
    """

    optimised: bool
    least_rows: int = 2**BITS

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Half a byte for each part; an odd one is padded."""
        parts = _parts(dim, parameters)
        return float((parts + 1) // 2)

    def rotation(self, sample: np.ndarray, parameters: Mapping[str, int]) -> Any:
        """OPQ trained on the first `OPQ_TRAIN_ROWS` vectors of the sample."""
        faiss = _faiss.library()

        if not self.optimised:
            return None
        dim = sample.shape[1]
        parts = _parts(dim, parameters)
        # With fewer, faiss 1.15.1 writes past the end of a buffer.
        _faiss.enough(sample, dim, f"a rotation of {dim} dims", "ivf_opq_pq")
        rotation = faiss.OPQMatrix(dim, parts)
        # Trained for the codes that follow, not for faiss' default of 8 bits.
        quantiser = _bounded(faiss.ProductQuantizer(dim, parts, BITS))
        rotation.pq = quantiser
        rotation.niter = OPQ_ITERATIONS
        rotation.max_train_points = OPQ_TRAIN_ROWS
        rotation.train(sample[:OPQ_TRAIN_ROWS])
        rotation.pq = None
        return rotation

    def rotates(self) -> bool:
        """With OPQ."""
        return self.optimised

    def empty(self, quantiser: Any, metric: Metric, parameters: Mapping[str, int]) -> Any:
        """Lists of fast-scan codes."""
        faiss = _faiss.library()

        parts = _parts(quantiser.d, parameters)
        lists = (quantiser, quantiser.d, quantiser.ntotal)
        index = faiss.IndexIVFPQFastScan(*lists, parts, BITS, _faiss.metric_code(metric))
        # 200,000 x 384, m = 96: recall 0.95 at 0.39 ms with residuals, ranking 16 for each hit again; at 0.71 ms and 32
        # without.
        index.by_residual = True
        _bounded(index.pq)
        return index

    def fits(self, ivf: Any) -> bool:
        """By type."""
        faiss = _faiss.library()

        return isinstance(ivf, faiss.IndexIVFPQFastScan)

    def reconstruct(self, ivf: Any, start: int, count: int) -> np.ndarray:
        """Decoded vectors, float32 [count, d]."""
        # Reading an index leaves this pointer null, and decoding follows it (faiss 1.15.1).
        ivf.fine_quantizer = ivf.pq
        return _faiss.reconstructed(ivf, start, count)


def _bounded(quantiser: Any) -> Any:
    quantiser.cp.max_points_per_centroid = _POINTS_PER_CENTROID
    quantiser.cp.min_points_per_centroid = 1  # only silences a warning
    return quantiser


def _parts(dim: int, parameters: Mapping[str, int]) -> int:
    parts = _faiss.parameter(parameters, "m", "product quantisation")
    if dim % parts:
        raise ConfigError(f"product quantisation: m = {parts} does not divide {dim} dims")
    return parts
