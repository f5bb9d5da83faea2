"""Embedding as an executor sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.embed.check import check_vectors
from stages.embed.registry import make_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.space import Encoder, PixelEncoder, SpaceContract, TextEncoder
    from stages.messages import EmbedRequest


class EmbedStage:
    """Texts, pixels and questions to vectors. A call holds one kind in one space (the executor groups them so)."""

    def __init__(self, contracts: Sequence[SpaceContract]) -> None:
        self._contracts = {contract.key: contract for contract in contracts}
        self._encoders: dict[str, Encoder] = {}

    def setup(self) -> None:
        """Nothing: an encoder loads when the first item of its space arrives."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with one float32 [dim] vector, by task; a bad vector is that item's failure."""
        requests: list[EmbedRequest] = [task.value for task in tasks]
        contract = self._contracts[requests[0].space]
        vectors = self._encode(contract, requests, tasks)
        return [_checked(vectors[i : i + 1], contract) for i in range(len(tasks))]

    def _encode(
        self, contract: SpaceContract, requests: Sequence[EmbedRequest], tasks: Sequence[Task]
    ) -> np.ndarray:
        encoder = self._encoder(contract)
        if requests[0].query:
            return encoder.encode_queries([request.text for request in requests])
        if contract.input == "text":
            texts: TextEncoder = encoder  # type: ignore[assignment]  # the contract says so
            return texts.encode([request.text for request in requests])
        pixels: PixelEncoder = encoder  # type: ignore[assignment]  # the contract says so
        return pixels.encode([task.arrays[0] for task in tasks])

    def _encoder(self, contract: SpaceContract) -> Encoder:
        if contract.key not in self._encoders:
            self._encoders[contract.key] = make_encoder(contract)
        return self._encoders[contract.key]

    def teardown(self) -> None:
        """Let the weights go."""
        self._encoders.clear()


def _checked(vector: np.ndarray, contract: SpaceContract) -> Answer | Failure:
    try:
        check_vectors(vector, contract)
    except GristmillError as error:
        return Failure.of(error)
    return Answer(vector[0])
