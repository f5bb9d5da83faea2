"""Descriptions by rules: what the picture classifier and the sound tagger name, said in a sentence.

No model runs but the classifier that the starter profile has anyway (EfficientNet-Lite0, see stages/embed/conse.py).
Only what the unit's own text does not say is told: writing in a picture is its text already, and so are captions and
headings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.derived import GeneratorContract
from stages.derive.cleaning import clean
from stages.embed import conse
from stages.embed.labels import LABELS_DIGEST, label_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.config import Derivation
    from schemas.derived import Subject

_RULES: Final = 1  # raised with every change of what is said
_PARTITIONS: Final = (
    "audio/recording",
    "audio/segment",
    "image/image",
    "video/clip",
    "video/video",
)
_MAX_CLASSES: Final = 5
_LEAST_SURE: Final = 0.02  # probability of a class that is told
_MAX_SOUNDS: Final = 2
_TAG: Final = re.compile(r"(?:^|; )(.+?) (\d\.\d\d)(?=; |$)")
_SHOWN: Final = {"image": "A picture of", "video": "A video of"}
# AudioSet's names for whole branches and for rooms: they say nothing of what is heard.
_VAGUE: Final = frozenset(
    {"Animal", "Domestic animals, pets", "Wild animals", "Livestock, farm animals, working animals"}
    | {"Inside, small room", "Inside, large room or hall", "Inside, public space", "Noise"}
    | {"Outside, urban or manmade", "Outside, rural or natural", "Sound effect", "Vehicle"}
    | {"Speech", "Music", "Musical instrument", "Silence"}
)


def contract(name: str, settings: Derivation, frame_size: int) -> GeneratorContract:
    """The contract of a configured one; loads nothing."""
    pixels = conse.contract()
    return GeneratorContract(
        name=name,
        adapter="tell",
        kind="description",
        partitions=tuple(sorted(settings.partitions or _PARTITIONS)),
        reads="either",
        revision=f"rules {_RULES}, labels {LABELS_DIGEST[:12]}, classifier {pixels.weights_digest[:12]}",
        frame_size=frame_size,
    )


class Teller:
    """Says what is seen and heard."""

    def __init__(self, contract: GeneratorContract) -> None:
        self.contract = contract

    def load(self) -> None:
        """Load classifier and labels."""
        self._classifier = conse.ConSE(conse.contract())
        self._classifier.load()
        # The first lemma of each class.
        self._labels = [text.partition(":")[0].partition(",")[0] for text in label_texts()]

    def derive(self, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
        """One sentence or two for each, none where nothing is surely seen or heard."""
        seen = self._seen([s.pixels for s in subjects])
        return [
            tuple(filter(None, [clean(_said(subject, classes))]))
            for subject, classes in zip(subjects, seen, strict=True)
        ]

    def _seen(self, stacks: Sequence[np.ndarray | None]) -> list[tuple[str, ...]]:
        """Names of the likeliest classes of each stack of frames, best first."""
        frames = [frame for stack in stacks if stack is not None for frame in stack]
        if not frames:
            return [()] * len(stacks)
        shares = _softmax(self._classifier.logits([_fitted(frame) for frame in frames]))
        seen: list[tuple[str, ...]] = []
        start = 0
        for stack in stacks:
            count = 0 if stack is None else len(stack)
            seen.append(self._names(shares[start : start + count].mean(axis=0)) if count else ())
            start += count
        return seen

    def _names(self, shares: np.ndarray) -> tuple[str, ...]:
        best = np.argsort(-shares, kind="stable")[:_MAX_CLASSES]
        return tuple(self._labels[i] for i in best.tolist() if shares[i] >= _LEAST_SURE)


def _said(subject: Subject, classes: Sequence[str]) -> str:
    shown = _SHOWN.get(subject.unit.partition.modality)
    sentences = []
    if shown and classes:
        sentences.append(f"{shown} {_listed([_with_article(name) for name in classes], 'or')}.")
    if sounds := _sounds(subject.unit.attributes.get("tags", "")):
        sentences.append(f"The sound of {_listed(sounds, 'and')}.")
    return " ".join(sentences)


def _sounds(tags: str) -> list[str]:
    """The surest names of sounds in ``Dog 0.91; Animal 0.90``, but for vague ones."""
    named = [(name, float(score)) for name, score in _TAG.findall(tags) if name not in _VAGUE]
    top = max((score for _, score in named), default=0.0)
    return [name.lower() for name, score in named if score >= top / 2][:_MAX_SOUNDS]


def _listed(names: Sequence[str], last: str) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _with_article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _fitted(frame: np.ndarray) -> np.ndarray:
    """At the size of the classifier."""
    from PIL import Image

    side = conse.FRAME_SIZE
    if frame.shape[0] == side:
        return frame
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares
