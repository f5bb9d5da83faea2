"""Index families: how vectors are stored and searched. One registry row each; protocol.py says what each promises."""

from stages.index.families._faiss import library, metric_code, one_thread, threads
from stages.index.families._gpu import to_gpu
from stages.index.families.protocol import NO_QUANTISER, SEED, IndexFamily, Knob
from stages.index.families.registry import FAMILIES, family

__all__ = [
    "FAMILIES",
    "NO_QUANTISER",
    "SEED",
    "IndexFamily",
    "Knob",
    "family",
    "library",
    "metric_code",
    "one_thread",
    "threads",
    "to_gpu",
]
