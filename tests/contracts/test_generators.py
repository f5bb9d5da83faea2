"""Every registered generator keeps the contract of one, whatever it is asked about, and in whatever company."""

from pathlib import Path

import numpy as np
import pytest

from schemas.config import Derivation
from schemas.derived import Generator, Subject
from schemas.partition import ALL_PARTITIONS, AUDIO_SEGMENT, IMAGE_IMAGE, TEXT_PARAGRAPH, VIDEO_CLIP
from schemas.unit import Locator, Unit
from stages.derive.cleaning import clean
from stages.derive.models import weights_digest
from stages.derive.registry import GENERATORS, contract, make_generator
from tests.tiny_generators import save_llava, save_t5

SIDE = 224


def of_model(folder: Path, **settings: object) -> dict[str, object]:
    pinned = {"model": str(folder), "revision": weights_digest(folder), "licence": "mit"}
    return pinned | {"max_new_tokens": 8} | settings


# adapter -> the settings that make one, given a folder to save a model in.
SETTINGS = {
    "tell": lambda _: {},
    "ask": lambda _: {},
    "image-text-to-text": lambda folder: of_model(save_llava(folder)),
    "text-to-text": lambda folder: of_model(save_t5(folder), texts=2),
}


def test_every_adapter_has_a_case():
    assert set(SETTINGS) == set(GENERATORS)


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def generator(request, tmp_path_factory) -> Generator:
    settings = SETTINGS[request.param](tmp_path_factory.mktemp(request.param))
    made = make_generator(contract("one", Derivation(adapter=request.param, **settings)))
    made.load()
    return made


def pixels(seed: int, frames: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, size=(frames, SIDE, SIDE, 3), dtype=np.uint8)


def subjects() -> list[Subject]:
    """What units are like, and what they are like at worst."""
    texts = [
        "What turns the wheel?\nWater turns it.",
        "A mill is a machine that grinds grain.",
        "",
        "?",
        " ".join(["wheel"] * 3_000),
        "Mehl\x00 und \u202eretsa\ud800w\u202c \U0001f9c2",
        "\u6c34\u8f66\u5728\u6cb3\u8fb9\u8f6c\u52a8\u3002",
    ]
    said = [
        Subject(
            Unit("s", TEXT_PARAGRAPH, Locator(), text=text, context="Doing > How to grind grain")
        )
        for text in texts
    ]
    seen = [
        Subject(
            Unit("s", partition, Locator(), text=text, pixels_hash=f"{i}", attributes=tags), shown
        )
        for i, (partition, text, tags, shown) in enumerate(
            [
                (IMAGE_IMAGE, "", {}, pixels(1)),
                (IMAGE_IMAGE, "FLOUR", {}, np.zeros((1, SIDE, SIDE, 3), np.uint8)),
                (IMAGE_IMAGE, "", {}, np.full((1, SIDE, SIDE, 3), 255, np.uint8)),
                (VIDEO_CLIP, "", {"tags": "Dog 0.91; Animal 0.90"}, pixels(2, frames=7)),
                (VIDEO_CLIP, "", {"tags": "; ;; 0.1 \x00 9.99"}, pixels(3, frames=2)),
                (AUDIO_SEGMENT, "Sounds: rain", {"tags": "Rain 0.50"}, None),
            ]
        )
    ]
    return [*said, *seen]


def test_texts_are_few_clean_and_different(generator):
    derived = generator.derive(subjects())
    assert len(derived) == len(subjects())
    assert any(derived)
    for texts in derived:
        assert len(texts) <= generator.contract.texts
        assert len(set(texts)) == len(texts)
        assert all(text and clean(text) == text for text in texts)


def test_company_and_order_change_nothing(generator):
    asked = subjects()
    together = generator.derive(asked)
    assert [generator.derive([subject])[0] for subject in asked] == together
    assert generator.derive(asked[::-1])[::-1] == together
    assert generator.derive([*asked, *asked]) == [*together, *together]


def test_nothing_gives_nothing(generator):
    assert generator.derive([]) == []


def test_another_of_the_same_contract_says_the_same(generator):
    other = make_generator(generator.contract)
    other.load()
    assert other.derive(subjects()) == generator.derive(subjects())


def test_it_is_asked_about_what_it_can_read(generator):
    reads = generator.contract.reads
    assert set(generator.contract.partitions) <= set(map(str, ALL_PARTITIONS))
    for subject in subjects():
        takes = generator.contract.takes(subject.unit)
        inside = str(subject.unit.partition) in generator.contract.partitions
        there = {"text": bool(subject.unit.text), "pixels": subject.pixels is not None}
        there["either"] = there["text"] or there["pixels"]
        assert takes == (inside and there[reads])
