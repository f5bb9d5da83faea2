"""Embedding as an executor sees it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from schemas.space import Marked, SparseVector, TokenVectors
from stages.embed.check import check_marked, check_vectors
from stages.embed.probe import probe
from stages.embed.registry import make_encoder
from stages.embed.resample import resampled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.space import Encoded, Encoder, Probe, SpaceContract
    from stages.messages import EmbedRequest


class EmbedStage:
    """Texts, pixels, sounds and questions to vectors. A call holds one kind in one space (the executor groups them so).

    Args:
        contracts: Of the spaces, as this machine's configuration has them.
        probes: What their encoders made of their self-checks before, by key; those not named are not checked.
        published: Further spaces that may be asked, as a manifest has them: one that is being replaced is asked
            questions though it is in the profile no more.
    """

    def __init__(
        self,
        contracts: Sequence[SpaceContract],
        probes: Mapping[str, Probe] = MappingProxyType({}),
        published: Sequence[SpaceContract] = (),
    ) -> None:
        self._contracts = {contract.key: contract for contract in (*published, *contracts)}
        self._own = {contract.key for contract in contracts}
        self._probes = probes
        self._encoders: dict[str, Encoder] = {}

    def setup(self) -> None:
        """Nothing: an encoder loads when the first item of its space arrives."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with one `Embedding` a task (dense: float32 [dim]); a bad one is that item's failure."""
        requests: list[EmbedRequest] = [task.value for task in tasks]
        contract = self._contracts[requests[0].space]
        if requests[0].probe:
            return [Answer(probe(self._encoder(contract))) for _ in tasks]
        found = self._encode(contract, requests, tasks)
        return [_checked(found[i], contract) for i in range(len(tasks))]

    def _encode(
        self, contract: SpaceContract, requests: Sequence[EmbedRequest], tasks: Sequence[Task]
    ) -> Encoded:
        encoder: Any = self._encoder(contract)
        encode: Callable[[Sequence[Any]], Encoded] = encoder.encode
        inputs: list[Any] = [request.text for request in requests]
        if requests[0].query:
            encode = encoder.encode_queries
        elif contract.input == "pixels":
            inputs = [task.arrays[0] for task in tasks]
        elif contract.input == "sound":
            inputs = [resampled(task.arrays[0], encoder.sample_rate) for task in tasks]
        return encode(inputs)

    def _encoder(self, contract: SpaceContract) -> Encoder:
        if contract.key not in self._encoders:
            self._encoders[contract.key] = make_encoder(
                contract,
                trusted=contract.key in self._own,
                recorded=self._probes.get(contract.key),
            )
        return self._encoders[contract.key]

    def teardown(self) -> None:
        """Let the weights go."""
        self._encoders.clear()


def _checked(
    found: np.ndarray | TokenVectors | SparseVector, contract: SpaceContract
) -> Answer | Failure:
    try:
        if isinstance(found, TokenVectors | SparseVector):
            marked = Marked.of(found)
            check_marked(marked, contract)
            return Answer(marked)
        check_vectors(found[np.newaxis], contract)
    except GristmillError as error:
        return Failure.of(error)
    return Answer(found)
