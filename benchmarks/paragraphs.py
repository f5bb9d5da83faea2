"""Real vectors: the paragraphs of a folder of texts and PDFs, cut and embedded as an ingest does it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.config import Config
from schemas.errors import ConfigError, SourceError
from schemas.ids import digest
from schemas.partition import TEXT_PARAGRAPH
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.embed.registry import contract, make_encoder
from stages.route.background import BACKGROUND
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.unit import Unit
    from stages.segment.options import CountTokens

SEED: Final = 7
_A_DOCUMENT: Final = (
    64  # paragraphs taken of one, by their ids: else one manual of a thousand pages is the set
)
_SUFFIXES: Final = frozenset({".txt", ".md", ".html", ".docx", ".pdf"})


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Vectors of the distinct paragraphs of whole documents.

    Attributes:
        vectors: float32 [n, dim], unit length.
        documents: int64 [n], number of the document that each is of; ascending.
        questions: float32 [m, dim]: the background questions of the router, as queries.
    """

    vectors: np.ndarray
    documents: np.ndarray
    questions: np.ndarray

    def held_out(self, count: int) -> np.ndarray:
        """Bool [n]: the rows of documents drawn by a fixed seed, about `count` and at most a tenth of all."""
        names, numbers = np.unique(self.documents, return_inverse=True)
        order = np.random.default_rng(SEED).permutation(len(names))[numbers]
        held: np.ndarray = order < np.sort(order)[min(count, len(order) // 10)]
        return held

    def save(self, path: Path) -> None:
        """As an npz, so that embedding is done once."""
        np.savez(path, vectors=self.vectors, documents=self.documents, questions=self.questions)

    @classmethod
    def load(cls, path: Path) -> Paragraphs:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            return cls(saved["vectors"], saved["documents"], saved["questions"])


def paragraphs_of(folder: Path, limit: int, *, threads: int = 1) -> Paragraphs:
    """Those that `folder` keeps, if it is an npz; else :func:`embed_folder`."""
    if folder.suffix == ".npz":
        return Paragraphs.load(folder)
    return embed_folder(folder, limit, threads=threads)


def embed_folder(folder: Path, limit: int, *, threads: int = 1) -> Paragraphs:
    """Embed the paragraphs of documents drawn by a fixed seed, until there are `limit`.

    Args:
        folder: Searched with everything below it; files that do not decode are left out.
        limit: Paragraphs wanted; fewer come where there are fewer.
        threads: Of the encoder.

    Raises:
        ConfigError: Nothing in it has a paragraph.
    """
    encoder: Any = make_encoder(contract("minilm", threads=threads))
    texts: dict[str, int] = {}
    for number, paragraphs in enumerate(document_texts(folder)):
        for text in paragraphs[:_A_DOCUMENT]:
            texts.setdefault(text, number)
        if len(texts) >= limit:
            break
    if not texts:
        raise ConfigError(f"{folder} has no text to embed: name a folder of texts or PDFs")
    kept = list(texts)[:limit]
    documents = np.array([texts[text] for text in kept], dtype=np.int64)
    return Paragraphs(encoder.encode(kept), documents, encoder.encode_queries(BACKGROUND))


def document_texts(folder: Path) -> Iterator[list[str]]:
    """The embedded text of every paragraph of one document after the other."""
    for units in document_units(folder):
        yield [u.embedded_text for u in units if u.partition == TEXT_PARAGRAPH and u.embedded_text]


def document_units(folder: Path, count_tokens: CountTokens | None = None) -> Iterator[list[Unit]]:
    """Units of one document after the other, drawn by a fixed seed; files that do not decode are left out.

    Args:
        folder: Searched with everything below it.
        count_tokens: Of texts, as their encoder counts them; None estimates them from words.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    random.Random(SEED).shuffle(paths)  # noqa: S311  # a sample
    config = Config()
    decoding = DecodeOptions(config.limits, config.segmentation, config.recognition)
    cutting = SegmentOptions(config.segmentation, count_tokens)
    for path in paths:
        try:
            content, arrays = decode(path, path.suffix.lower().lstrip("."), decoding)
        except SourceError:
            continue
        yield list(segment(digest("source", str(path)), content, arrays, cutting))
