"""Loading a model by sentence-transformers or transformers: from its folder, its safetensors, and nothing else."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from schemas.errors import ContractError, MissingExtraError
from stages.embed.device import compute_device
from stages.embed.forward import float_heads
from stages.embed.licences import tell
from stages.embed.onnx_text import load_onnx, onnx_file
from stages.embed.towers import Prepared, Towers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.space import SpaceContract

Kind = Literal["SentenceTransformer", "MultiVectorEncoder", "SparseEncoder", "CrossEncoder"]


class _Where(NamedTuple):
    folder: str
    dtype: str
    remote_code: bool
    onnx: str = ""
    threads: int = 0  # of onnxruntime, which sets them when it loads


def load_model(kind: Kind, contract: SpaceContract, *, pooling: str = "") -> Any:
    """A sentence-transformers model, ready to compute; a process has one copy of each.

    Args:
        kind: Class of sentence-transformers.
        contract: Of a space, with the folder of the model as its location (:func:`make_encoder` gives such a one).
        pooling: Of a bare transformer, which has no modules of sentence-transformers.

    Raises:
        ContractError: The folder is no model of this kind.
        MissingExtraError: The model needs a package that is not installed.
    """
    tell(contract)
    where = _Where(contract.location, contract.dtype, contract.remote_code)
    if file := onnx_file(contract.backend):
        where = where._replace(onnx=file, threads=contract.threads)
    return _load(kind, where, pooling)


def load_reranker(folder: str) -> Any:
    """A cross-encoder, ready to compute, in float32; a process has one copy of each.

    Raises:
        ContractError: The folder is no cross-encoder.
        MissingExtraError: The model needs a package that is not installed.
    """
    return _load("CrossEncoder", _Where(folder, "float32", False), "")


def load_towers(contract: SpaceContract) -> Towers:
    """A dual encoder of transformers, ready to compute; a process has one copy of each.

    Raises:
        ContractError: The folder is no model that can be loaded.
        MissingExtraError: The model needs a package that is not installed.
    """
    tell(contract)
    return _towers(_Where(contract.location, contract.dtype, contract.remote_code))


@cache
def _towers(where: _Where) -> Towers:
    import torch
    from transformers import AutoModel

    code = {"local_files_only": True, "trust_remote_code": where.remote_code}
    with quiet(where.folder):
        model = AutoModel.from_pretrained(
            where.folder, dtype=getattr(torch, where.dtype), use_safetensors=True, **code
        )
        processor = _processor(where, model.config)
    return Towers(model.to(compute_device()).eval(), processor)


def _processor(where: _Where, config: Any) -> Any:
    """What prepares a model's inputs: its own, but for VideoPRISM, whose own needs torchvision.

    Its video processor makes pictures square and their values 0 to 1, which the one for SigLIP's pictures does as well.
    """
    from transformers import AutoProcessor, SiglipImageProcessorPil

    if config.model_type != "videoprism":
        return AutoProcessor.from_pretrained(
            where.folder, local_files_only=True, trust_remote_code=where.remote_code
        )
    side = config.vision_config.image_size
    height, width = (side, side) if isinstance(side, int) else side
    pictures = SiglipImageProcessorPil(size={"height": height, "width": width}, do_normalize=False)
    return Prepared(_tokeniser(where.folder, where.remote_code), pictures)


def load_tokeniser(contract: SpaceContract) -> Any:
    """The tokeniser of a model, without the weights.

    Raises:
        ContractError: There is none in the folder.
    """
    return _tokeniser(contract.location, contract.remote_code)


@cache
def _tokeniser(folder: str, remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    with quiet(folder):
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=remote_code
        )


@cache
def _load(kind: Kind, where: _Where, pooling: str) -> Any:
    import sentence_transformers
    import torch

    # Threads of a process are pinned; those that tokenisers start would come on top.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    loads: dict[str, Any] = {
        "model_kwargs": {"dtype": getattr(torch, where.dtype), "use_safetensors": True}
    }
    with quiet(where.folder):
        if where.onnx:
            return load_onnx(Path(where.folder), where.onnx, where.threads, pooling)
        source = (
            {"modules": _bare(where, pooling, loads)}
            if pooling
            else {"model_name_or_path": where.folder, **loads}
        )
        model = getattr(sentence_transformers, kind)(
            device=compute_device(),
            local_files_only=True,
            trust_remote_code=where.remote_code,
            **source,
        )
    float_heads(model)
    return model.eval()


def _bare(where: _Where, pooling: str, loads: dict[str, Any]) -> list[Any]:
    """A bare transformer, its pooling and L2."""
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    code = {"trust_remote_code": where.remote_code, "local_files_only": True}
    transformer = Transformer(
        where.folder,
        model_kwargs={**loads["model_kwargs"], **code},
        processor_kwargs=dict(code),
        config_kwargs=dict(code),
    )
    return [transformer, Pooling(transformer.get_embedding_dimension(), pooling), Normalize()]


@contextmanager
def quiet(what: str) -> Iterator[None]:
    """Load without progress bars; errors of the library become ours.

    Raises:
        ContractError: `what` cannot be loaded.
        MissingExtraError: A package is not installed.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{what} needs a package that is not installed: {error}") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ContractError(f"{what} cannot be loaded: {error}") from error
