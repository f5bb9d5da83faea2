"""Text encoders whose transformer is an ONNX file, computed by onnxruntime on a CPU.

What is around it (tokeniser, prompts, pooling, dense layers, L2) is that of the model's folder. Exports of
sentence-transformers (https://sbert.net/docs/sentence_transformer/usage/efficiency.html) have it under ``onnx/``; those
with ``int8`` in their names were quantised dynamically, so that a tensor's scale comes from all that is in it: passes
have one row, or a text's vector would depend on its company.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ContractError
from stages.embed.adapters import listed
from stages.embed.models import read_json

if TYPE_CHECKING:
    from pathlib import Path

PREFIX: Final = "onnx:"  # of a contract's backend, before the file
_STATES: Final = ("last_hidden_state", "token_embeddings")
_TEXT: Final = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}


def onnx_file(backend: str) -> str:
    """The file that a contract's backend names, relative to the model's folder; empty where torch computes."""
    return backend.removeprefix(PREFIX) if backend.startswith(PREFIX) else ""


def load_onnx(folder: Path, file: str, threads: int, pooling: str) -> Any:
    """A SentenceTransformer whose transformer onnxruntime computes.

    Args:
        folder: Of the model.
        file: The ONNX file in it.
        threads: Compute threads.
        pooling: Of a bare transformer.

    Raises:
        ContractError: The file is no text encoder, or the folder has a module that is not known here.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    class OnnxTransformer(Transformer):  # type: ignore[misc]  # its class is of type Any
        def _load_model(self, _: str, __: str, config: Any, *___: Any, **____: Any) -> Any:
            # The library's own backend "onnx" needs optimum, which knows no transformers 5.
            return _Graph(folder / file, config, threads)

    limits = read_json(folder / "sentence_bert_config.json")
    first = OnnxTransformer(
        str(folder),
        max_seq_length=limits.get("max_seq_length"),
        do_lower_case=bool(limits.get("do_lower_case")),
        modality_config=_TEXT,
        module_output_name="token_embeddings",
        processor_kwargs={"local_files_only": True},
    )
    modules = [first, *_heads(folder, first.get_embedding_dimension(), pooling)]
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts")
    return SentenceTransformer(modules=modules, prompts=prompts, device="cpu")


def _heads(folder: Path, dim: int, pooling: str) -> list[Any]:
    """What comes after the transformer."""
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    known = {"Pooling": Pooling, "Dense": Dense, "Normalize": Normalize}
    if pooling:
        return [Pooling(dim, pooling), Normalize()]
    heads = []
    for kind, place in listed(folder)[1:]:
        if kind not in known:
            raise ContractError(
                f"{folder} has a module {kind}, which is not known beside an ONNX file:"
                f" there are {', '.join(known)}. Leave `onnx` out"
            )
        heads.append(known[kind].load(str(folder), subfolder=place, local_files_only=True))
    return heads


class _Graph:
    """An ONNX file where sentence-transformers has a model of transformers."""

    def __init__(self, path: Path, config: Any, threads: int) -> None:
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.config, self.device = config, torch.device("cpu")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [given.name for given in self._session.get_inputs()]
        outputs = [made.name for made in self._session.get_outputs()]
        states = [name for name in _STATES if name in outputs]
        if not states:
            raise ContractError(
                f"{path} gives {', '.join(outputs)}; a text encoder gives {' or '.join(_STATES)}"
            )
        self._states = states[0]

    def forward(self, **features: Any) -> dict[str, Any]:
        """States of tokens, float32 [rows, length, hidden]."""
        import torch

        ids = features["input_ids"]
        zeros = torch.zeros_like(ids)  # of token types, which not every tokeniser gives
        given = {name: features.get(name, zeros).numpy() for name in self._inputs}
        (states,) = self._session.run([self._states], given)
        return {"last_hidden_state": torch.from_numpy(states)}
