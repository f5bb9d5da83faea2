"""The self-check of an encoder: what it makes of one fixed input, held against what was recorded with the vectors.

A contract pins the files of a model; it cannot pin the libraries, drivers and chips that compute it. So a snapshot
keeps what each of its spaces makes of a text, and of a document of its kind, and an encoder is compared before its
first answer. docs/decisions/0031-encoders.md says why the limit is where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ContractError
from schemas.space import SparseVector, TokenVectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.space import Encoded, Encoder, Probe, SpaceContract

PROBE_TEXT: Final = (
    "The miller opened the sluice; 2 stones ground 40 sacks of rye, wheat & oats before noon."
)
LOWEST_COSINE: Final = 0.999
_NUMBERS: Final = 64
_DIGITS: Final = 7
_SECONDS: Final = 1.5


def probe_document(contract: SpaceContract, sample_rate: int = 0) -> Any:
    """The document of the self-check: a text, a picture of stripes and a disc, or a rising tone."""
    if contract.input == "text":
        return PROBE_TEXT
    if contract.input == "sound":
        at = np.arange(int(_SECONDS * sample_rate)) / sample_rate
        return (0.5 * np.sin(2 * np.pi * (200 + 300 * at) * at)).astype(np.float32)
    side = contract.frame_size
    down, across = np.mgrid[:side, :side] / side
    disc = ((down - 0.5) ** 2 + (across - 0.4) ** 2 < 0.09) * 160.0
    stripes = (np.floor(across * 12) % 2) * 90.0
    picture = np.stack([disc + 60, stripes + disc * 0.5, 255 * down], axis=-1)
    return picture.clip(0, 255).astype(np.uint8)[np.newaxis]


def sketch(encoded: np.ndarray | TokenVectors | SparseVector) -> list[float]:
    """At most 64 numbers that stand for what an encoder made of an input.

    The leading dims of a vector, or of the mean of token vectors; weights of terms summed by term modulo 64.
    """
    if isinstance(encoded, SparseVector):
        vector = np.bincount(encoded.terms % _NUMBERS, encoded.weights, _NUMBERS)
    elif isinstance(encoded, TokenVectors):
        vector = encoded.vectors.mean(axis=0)
    else:
        vector = encoded
    return [round(float(value), _DIGITS) for value in vector[:_NUMBERS]]


def probe(encoder: Encoder) -> Probe:
    """What an encoder makes of the question and the document of the self-check."""
    document = probe_document(encoder.contract, getattr(encoder, "sample_rate", 0))
    return {
        "query": sketch(encoder.encode_queries([PROBE_TEXT])[0]),
        "document": sketch(encoder.encode([document])[0]),
    }


def compare(space: str, side: str, recorded: Sequence[float], found: Sequence[float]) -> None:
    """Hold a sketch against the one that was recorded.

    Raises:
        ContractError: The cosine is below 0.999; names it and both sides.
    """
    ours, theirs = np.asarray(found), np.asarray(recorded)
    alike = ours.shape == theirs.shape
    norms = np.linalg.norm(ours) * np.linalg.norm(theirs)
    cosine = float(ours @ theirs / norms) if alike and norms else 0.0
    if cosine < LOWEST_COSINE:
        raise ContractError(
            f"self-check of the space {space}: the encoder here gives another vector for the {side} than the one that"
            f" was recorded with the snapshot: cosine {cosine:.6f}, at least {LOWEST_COSINE} is wanted; recorded"
            f" {list(recorded[:4])}..., here {list(found[:4])}.... The files are those of the contract, so the"
            " libraries or the hardware differ: use those that wrote it, or embed again with what is here"
        )


class Proven:
    """An encoder that checks itself before its first answer of each side.

    Attributes:
        contract: Of the space.
    """

    def __init__(self, encoder: Encoder, recorded: Probe) -> None:
        self.contract = encoder.contract
        self._encoder: Any = encoder
        self._recorded: Mapping[str, Sequence[float]] = recorded
        self._unproven = set(recorded)

    @property
    def sample_rate(self) -> int:
        """Of the encoder, if it takes sounds."""
        rate: int = self._encoder.sample_rate
        return rate

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the encoder does."""
        counted: list[int] = self._encoder.count_tokens(texts)
        return counted

    def encode(self, inputs: Sequence[Any]) -> Any:
        """As the encoder does.

        Raises:
            ContractError: It fails its self-check.
        """
        if "document" in self._unproven:
            rate = getattr(self._encoder, "sample_rate", 0)
            self._prove("document", self._encoder.encode([probe_document(self.contract, rate)]))
        return self._encoder.encode(inputs)

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """As the encoder does.

        Raises:
            ContractError: It fails its self-check.
        """
        if "query" in self._unproven:
            self._prove("query", self._encoder.encode_queries([PROBE_TEXT]))
        return self._encoder.encode_queries(texts)

    def _prove(self, side: str, encoded: Encoded) -> None:
        compare(self.contract.key, side, self._recorded[side], sketch(encoded[0]))
        self._unproven.discard(side)
