"""Questions that a passage answers, by a model that was trained to ask them (doc2query).

Nogueira and Lin 2019, "From doc2query to docTTTTTquery": a sequence-to-sequence model reads a passage and writes
queries that it answers. Any ``AutoModelForSeq2SeqLM`` of transformers. They sample; here the best beams are taken, so
that the same passage always gives the same questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.derived import GeneratorContract
from stages.derive.cleaning import clean
from stages.derive.models import check_pinned, generate, load, passes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.config import Derivation
    from schemas.derived import Subject

_PARTITIONS: Final = ("text/paragraph",)
_BUCKETS: Final = (64, 128, 256, 512)  # padded lengths in tokens; the last one truncates


def contract(name: str, settings: Derivation, _frame_size: int) -> GeneratorContract:
    """The contract of a configured one; loads nothing.

    Raises:
        ConfigError: The model is not pinned.
    """
    check_pinned(name, settings)
    return GeneratorContract(
        name=name,
        adapter="text-to-text",
        kind=settings.kind or "question",
        partitions=tuple(sorted(settings.partitions or _PARTITIONS)),
        reads="text",
        revision=settings.revision,
        model=settings.model,
        prompt=settings.prompt,
        dtype=settings.dtype,
        max_new_tokens=settings.max_new_tokens,
        texts=settings.texts,
        licence=settings.licence,
    )


class Writer:
    """Reads texts and writes what it was trained to write of them."""

    def __init__(self, contract: GeneratorContract) -> None:
        self.contract = contract

    def load(self) -> None:
        """Load tokeniser and weights."""
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self._model, self._tokeniser = load(self.contract, AutoModelForSeq2SeqLM, AutoTokenizer)

    def derive(self, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
        """The best beams of each text, best first."""
        said: list[tuple[str, ...]] = [()] * len(subjects)
        texts = [f"{self.contract.prompt}{_readable(s.unit.embedded_text)}" for s in subjects]
        for bucket, members in self._by_bucket(texts):
            for picked in passes(len(members)):
                rows = [members[i] for i in picked]
                for i, written in zip(
                    rows, self._write([texts[i] for i in rows], bucket), strict=True
                ):
                    said[i] = tuple(dict.fromkeys(filter(None, map(clean, written))))
        return said

    def _by_bucket(self, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
        members: dict[int, list[int]] = {}
        for i, text in enumerate(texts):
            length = len(self._tokeniser(text, truncation=True, max_length=_BUCKETS[-1]).input_ids)
            members.setdefault(next(b for b in _BUCKETS if length <= b), []).append(i)
        yield from sorted(members.items())

    def _write(self, texts: list[str], bucket: int) -> list[list[str]]:
        inputs: Any = self._tokeniser(
            texts,
            truncation=True,
            max_length=bucket,
            padding="max_length",
            return_tensors="pt",
            return_token_type_ids=False,
        )
        beams = self.contract.texts
        ids = generate(
            self._model, inputs, max_new_tokens=self.contract.max_new_tokens, beams=beams
        )
        written: list[str] = self._tokeniser.batch_decode(ids, skip_special_tokens=True)
        return [written[i : i + beams] for i in range(0, len(written), beams)]


def _readable(text: str) -> str:
    """Lone surrogates, which a tokeniser refuses, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
