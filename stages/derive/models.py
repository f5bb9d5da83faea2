"""Models that write: pinned, loaded without code of their own, always asked in passes of one shape.

Their words depend on nothing but the input: decoding is greedy or a beam search, and every pass has the same number of
rows, short ones filled up by repeating the last input.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError, ContractError
from schemas.ids import digest_file
from stages.embed.device import compute_device
from stages.embed.licences import warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.config import Derivation
    from schemas.derived import GeneratorContract

ROWS: Final = 4  # of a pass, and threads of one: other numbers would be other sums
THREADS: Final = 1
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def check_pinned(name: str, settings: Derivation) -> None:
    """Hold a configured model to what must be said of it.

    Raises:
        ConfigError: No model, revision or licence, or a revision that may move; names the key.
    """
    for key in ("model", "revision", "licence"):
        if not getattr(settings, key):
            raise ConfigError(
                f"derive.{name}.{key} is missing: adapter {settings.adapter!r} needs it"
            )
    folder = Path(settings.model).is_dir()
    if not (_SHA256 if folder else _COMMIT).fullmatch(settings.revision):
        wanted = (
            f"the SHA-256 of its weights, {weights_digest(Path(settings.model))}"
            if folder
            else "the commit, 40 hex digits: a branch moves"
        )
        raise ConfigError(f"derive.{name}.revision = {settings.revision!r}: give {wanted}")


def weights_digest(folder: Path) -> str:
    """SHA-256 of the one weights file in a folder, or of the digests of several in order of their names.

    Raises:
        ConfigError: There is none. Weights in other formats than safetensors may run code, and are not loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{folder} has no weights in safetensors; other formats are not loaded")
    digests = [digest_file(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    import hashlib

    return hashlib.sha256("".join(digests).encode()).hexdigest()


def load(contract: GeneratorContract, auto_model: Any, auto_processor: Any) -> tuple[Any, Any]:
    """Model, on its device, and processor of a contract.

    Args:
        contract: Names and pins them.
        auto_model: ``AutoModelFor...`` of transformers.
        auto_processor: ``AutoProcessor`` or ``AutoTokenizer``.

    Raises:
        ContractError: The weights are not the pinned ones.
        ConfigError: They cannot be had, or are not for this adapter.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    warn(f"derive.{contract.name}", contract.model, contract.licence)
    folder = Path(contract.model)
    source: dict[str, Any] = {"revision": contract.revision}
    if folder.is_dir():
        source = {"local_files_only": True}
        if (found := weights_digest(folder)) != contract.revision:
            raise ContractError(
                f"the weights in {folder} have SHA-256 {found}, derive.{contract.name}.revision says"
                f" {contract.revision}: put the pinned ones there, or give theirs"
            )
    try:
        processor = auto_processor.from_pretrained(
            contract.model, trust_remote_code=False, **source
        )
        model = auto_model.from_pretrained(
            contract.model,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, contract.dtype),
            **source,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(
            f"derive.{contract.name}: {contract.model} cannot be loaded by the adapter {contract.adapter!r}: {error}"
        ) from error
    return model.to(compute_device()).eval(), processor


def passes(count: int) -> Iterator[list[int]]:
    """Positions of the inputs of each pass, as many as it has rows; the last ones of the last pass are repeats.

    >>> list(passes(5))
    [[0, 1, 2, 3], [4, 4, 4, 4]]
    """
    for start in range(0, count, ROWS):
        yield [min(start + row, count - 1) for row in range(ROWS)]


def generate(model: Any, inputs: Any, *, max_new_tokens: int, beams: int = 1) -> Any:
    """Token ids of the answers, `beams` for each row of the inputs, without the inputs: int64 [rows * beams, n]."""
    import torch

    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        ids = model.generate(
            **inputs.to(model.device),
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=max_new_tokens,
            early_stopping=beams > 1,
        )
    prompt = inputs["input_ids"].repeat_interleave(beams, dim=0)
    length = prompt.shape[1]
    if ids.shape[1] >= length and torch.equal(ids[:, :length].cpu(), prompt.cpu()):
        ids = ids[:, length:]  # decoders say the prompt again, models with an encoder do not
    return ids.cpu()


def rows_of(values: Sequence[Any], picked: Sequence[int]) -> list[Any]:
    """The values at some positions."""
    return [values[i] for i in picked]
