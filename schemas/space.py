"""A space: a named encoder contract. Vectors of two spaces are never compared directly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from schemas.ids import canonical_json, digest
from schemas.sound import SOUND_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.partition import Partition

FINGERPRINT_CHARS: Final = 12
Metric = Literal["inner_product", "l2"]
Representation = Literal["dense", "tokens", "sparse"]
Input = Literal["text", "pixels", "sound"]
InputColumn = Literal["text_hash", "pixels_hash", "unit_id"]
INPUT_COLUMNS: Final[dict[Input, InputColumn]] = {
    "text": "text_hash",
    "pixels": "pixels_hash",
    "sound": "unit_id",
}
# What an encoder made of the fixed inputs of its self-check (stages/embed/probe.py): ``query`` and ``document``.
Probe = dict[str, list[float]]
# Fields that came later: while they say nothing new they are not part of a fingerprint, so vectors stay what they were.
_LATER: Final = {
    "metric": "inner_product",
    "matryoshka": [],
    "representation": "dense",
    "partitions": [],
    "nested": [],
    "truncate_dim": 0,
    "remote_code": False,
}
# Fields that no vector depends on: they are no part of what a space is.
_ASIDE: Final = ("location", "licence")


@dataclass(frozen=True, slots=True)
class SpaceContract:
    """Everything a vector depends on besides its input.

    Attributes:
        name: Short name, e.g. ``minilm``.
        encoder: Registry key of the encoder that fulfils it.
        model: Model name or package.
        revision: Pinned version or commit of the model.
        weights_digest: SHA-256 of the weights file (64 hex characters).
        dim: Length of a vector.
        dtype: Compute type of the model (``float32``, ``bfloat16``).
        input: What a document is: its text, its pixels or its sound.
        pooling: How token or frame outputs become one vector.
        normalised: Whether vectors have L2 norm 1 (inner product is then the cosine).
        query_prompt: Put before a query.
        document_prompt: Put before a document.
        max_tokens: Longest text in tokens, special ones included; 0 for pixels.
        buckets: Padded lengths a text may get, ascending; empty for pixels.
        batch_tokens: Tokens in one fixed-shape forward pass (rows = batch_tokens // bucket), at least 1 row.
        batch_frames: Frames in one fixed-shape forward pass; 0 for text.
        frame_size: Side of a frame in pixels; 0 for text.
        threads: Compute threads of one encoder process; part of the contract because sums depend on it.
        backend: ``torch`` or ``onnx``.
        metric: What is near: the largest inner product, or the smallest Euclidean distance.
        matryoshka: Shorter lengths, ascending, whose leading dims are a vector of their own (Kusupati et al. 2022,
            arXiv 2205.13147), renormalised; empty where the model was not trained so.
        representation: What a unit becomes: one vector; a vector for each token or patch (late interaction, Khattab
            and Zaharia 2020, arXiv 2004.12832); or weights of terms, of which few are not 0.
        nested: How many of a unit's leading vectors are a representation of their own, ascending (as of MetaEmbed, Xiao
            et al. 2025, arXiv 2509.18095); empty where the model was not trained so, or units have one vector.
        partitions: The only ones are embedded, ascending (``page/page``); empty for all that have its input.
        truncate_dim: The leading dims of the model's vectors that are kept and renormalised; 0 for all of them.
        remote_code: The model's repository brings code of its own, which only runs where it is asked for.
        location: The folder that the model was in where the contract was made, if it is no cache of Hugging Face's.
            Another place with the same files is as good, so neither equality nor the fingerprint know it.
        licence: Of the weights, as the configuration or the model's card says; empty where nobody does. As above.
    """

    name: str
    encoder: str
    model: str
    revision: str
    weights_digest: str
    dim: int
    dtype: str
    input: Input
    pooling: str
    normalised: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    max_tokens: int = 0
    buckets: tuple[int, ...] = ()
    batch_tokens: int = 0
    batch_frames: int = 0
    frame_size: int = 0
    threads: int = 1
    backend: str = "torch"
    metric: Metric = "inner_product"
    matryoshka: tuple[int, ...] = ()
    representation: Representation = "dense"
    partitions: tuple[str, ...] = ()
    nested: tuple[int, ...] = ()
    truncate_dim: int = 0
    remote_code: bool = False
    location: str = field(default="", compare=False)
    licence: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        unsaid = {**_LATER, **dict.fromkeys(_ASIDE, "")}
        return {k: v for k, v in values.items() if k not in unsaid or v != unsaid[k]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SpaceContract:
        """The inverse of :meth:`as_dict`."""
        lists = {
            k: tuple(values.get(k, ())) for k in ("buckets", "matryoshka", "partitions", "nested")
        }
        return cls(**{**values, **lists})

    @property
    def fingerprint(self) -> str:
        """12 hex characters over all fields that a vector depends on."""
        values = {k: v for k, v in self.as_dict().items() if k not in _ASIDE}
        return digest("space", canonical_json(values))[:FINGERPRINT_CHARS]

    @property
    def key(self) -> str:
        """Name on disk and in manifests: ``minilm-0123456789ab``."""
        return f"{self.name}-{self.fingerprint}"

    @property
    def input_column(self) -> InputColumn:
        """Which column of the table of units names what it embeds.

        A sound is named by its unit, whose id says of which source it is and where in it.
        """
        return INPUT_COLUMNS[self.input]

    @property
    def only(self) -> tuple[str, ...]:
        """The only partitions that are embedded; empty for all that have its input."""
        return SOUND_PARTITIONS if self.input == "sound" else self.partitions

    def takes(self, partition: Partition) -> bool:
        """Whether units of a partition are embedded in it."""
        return not self.only or str(partition) in self.only

    def bucket(self, n_tokens: int) -> int:
        """The shape a text of `n_tokens` is padded to; the last bucket truncates."""
        return bucket_of(self.buckets, n_tokens)

    def differences(self, other: SpaceContract) -> list[str]:
        """Readable ``field: ours != theirs`` lines; empty when equal."""
        ours, theirs = asdict(self), asdict(other)
        named = [k for k in ours if k not in _ASIDE]
        return [f"{k}: {ours[k]!r} != {theirs[k]!r}" for k in named if ours[k] != theirs[k]]


def bucket_of(buckets: Sequence[int], n_tokens: int) -> int:
    """The first of ascending lengths that has room for so many tokens, else the last."""
    return next((b for b in buckets if n_tokens <= b), buckets[-1])


class TextEncoder(Protocol):
    """Embeds texts. Loads its weights on first use, never at construction."""

    contract: SpaceContract

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it would be embedded, special tokens and prompt included, before truncation.

        Needs the tokeniser only, never the weights.
        """

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed documents.

        Returns:
            float32 [len(texts), dim]; row i does not depend on the other texts.
        """

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed queries, float32 [len(texts), dim]."""


class PixelEncoder(Protocol):
    """Embeds stacks of frames, and text queries into the same space."""

    contract: SpaceContract

    def encode(self, stacks: Sequence[np.ndarray]) -> np.ndarray:
        """Embed stacks of frames.

        Args:
            stacks: uint8 [n_frames, frame_size, frame_size, 3] each; n_frames may differ, at least 1.

        Returns:
            float32 [len(stacks), dim]; row i does not depend on the other stacks.
        """

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed text queries into this space, float32 [len(texts), dim]."""


class SoundEncoder(Protocol):
    """Embeds sounds, and text queries into the same space."""

    contract: SpaceContract
    sample_rate: int

    def encode(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embed sounds.

        Args:
            sounds: float32 [n_samples] each, mono at `sample_rate` Hz in -1..1; n_samples may differ, at least 1.

        Returns:
            float32 [len(sounds), dim]; row i does not depend on the other sounds.
        """

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed text queries into this space, float32 [len(texts), dim]."""


class Reranker(Protocol):
    """Reads a question and a text together. Its scores say which text answers better, and nothing else."""

    def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
        """How well each text answers, float32 [len(texts)]; row i does not depend on the other texts."""


class SparseVector(NamedTuple):
    """Weights of the few terms that are not 0.

    Attributes:
        terms: int32 [n], ascending, each below the space's dim.
        weights: float32 [n], above 0.
    """

    terms: np.ndarray
    weights: np.ndarray


class TokenVectors(NamedTuple):
    """A vector for each token or patch.

    Attributes:
        vectors: float32 [n, dim], n at least 1, each of norm 1 in a normalised space.
        kinds: int32 [n], what each one is of: 0 text, 1 picture, 2 sound.
    """

    vectors: np.ndarray
    kinds: np.ndarray


class Marked(NamedTuple):
    """How token vectors and sparse vectors travel and lie in the lake: rows of numbers, with a whole number to each.

    Attributes:
        values: float32 [n, width]: token vectors, or the weights of a sparse vector (width 1).
        marks: int32 [n]: kinds of tokens, or terms.
    """

    values: np.ndarray
    marks: np.ndarray

    @classmethod
    def of(cls, what: TokenVectors | SparseVector) -> Marked:
        """The same in this form."""
        if isinstance(what, SparseVector):
            return cls(what.weights.reshape(-1, 1), what.terms)
        return cls(*what)

    def as_tokens(self) -> TokenVectors:
        """Of a space of token vectors."""
        return TokenVectors(self.values, self.marks)

    def as_sparse(self) -> SparseVector:
        """Of a space of sparse vectors."""
        return SparseVector(self.marks, self.values[:, 0])


class TokensEncoder(Protocol):
    """Embeds texts, or stacks of frames where its contract says pixels, to many vectors each (late interaction)."""

    contract: SpaceContract

    def encode(self, inputs: Sequence[Any]) -> list[TokenVectors]:
        """Embed documents; what comes of one does not depend on the others."""

    def encode_queries(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed queries."""


class SparseEncoder(Protocol):
    """Embeds texts to weights of terms."""

    contract: SpaceContract

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed documents; what comes of one does not depend on the others."""

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed queries."""


DenseEncoder = TextEncoder | PixelEncoder | SoundEncoder
Encoder = DenseEncoder | TokensEncoder | SparseEncoder
if TYPE_CHECKING:
    Encoded = np.ndarray | list[TokenVectors] | list[SparseVector]  # of many inputs
    Embedding = np.ndarray | Marked  # of one, as it is stored
