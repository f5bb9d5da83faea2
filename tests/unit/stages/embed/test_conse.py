import numpy as np
import pytest
from PIL import Image
from skimage import data

from schemas.errors import ContractError
from stages.embed import conse, labels
from stages.embed.conse import FRAME_SIZE, ConSE


@pytest.fixture(scope="module")
def encoder():
    return ConSE(conse.contract(dtype="float32"))


def frames(picture: np.ndarray) -> np.ndarray:
    """The picture, squashed, as a stack of one."""
    resized = Image.fromarray(picture).convert("RGB").resize((FRAME_SIZE, FRAME_SIZE))
    return np.asarray(resized)[None]


def test_photos_are_found_by_what_they_show(encoder):
    photos = encoder.encode([frames(data.chelsea()), frames(data.coffee()), frames(data.rocket())])
    queries = encoder.encode_queries(["a cat", "a cup of coffee", "a rocket taking off"])
    np.testing.assert_array_equal((queries @ photos.T).argmax(axis=1), [0, 1, 2])


def test_a_stack_lies_between_its_frames(encoder):
    cat, coffee = frames(data.chelsea()), frames(data.coffee())
    both, *single = encoder.encode([np.concatenate([cat, coffee]), cat, coffee])
    middle = sum(single) / np.linalg.norm(sum(single))
    assert both @ middle > 0.95
    assert both @ single[0] > single[0] @ single[1]


def test_queries_are_those_of_the_text_space(encoder):
    from stages.embed.minilm import MiniLM

    text = MiniLM(encoder.query_space)
    np.testing.assert_array_equal(
        encoder.encode_queries(["a red mill"]), text.encode_queries(["a red mill"])
    )


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (np.zeros((0, FRAME_SIZE, FRAME_SIZE, 3), np.uint8), "shape"),
        (np.zeros((1, 10, 10, 3), np.uint8), "shape"),
        (np.zeros((FRAME_SIZE, FRAME_SIZE, 3), np.uint8), "shape"),
        (np.zeros((1, FRAME_SIZE, FRAME_SIZE, 3), np.float32), "float32"),
    ],
)
def test_other_shapes_and_types_are_refused(encoder, stack, said):
    good = np.zeros((1, FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    with pytest.raises(ContractError, match=f"stack 1 .*{said}"):
        encoder.encode([good, stack])


def test_a_thousand_labels_in_order():
    texts = labels.label_texts()
    assert len(texts) == labels.N_LABELS
    assert texts[0].startswith("tench, Tinca tinca: freshwater")
    assert texts[285].startswith("Egyptian cat: ")
    assert texts[999].startswith("toilet tissue")


def test_another_label_file_is_refused(monkeypatch):
    monkeypatch.setattr(labels, "LABELS_DIGEST", "0" * 32)
    with pytest.raises(ContractError, match=r"imagenet_labels\.csv has digest"):
        labels.label_texts()
