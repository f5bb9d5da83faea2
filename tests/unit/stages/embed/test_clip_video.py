"""VideoPRISM as its library computes it: frames prepared here, questions without padding."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, VideoPrismClipModel

from schemas.errors import ConfigError
from schemas.space_config import SpaceConfig
from stages.embed.clip_video import evenly
from stages.embed.registry import contract, make_encoder
from tests import tiny_models
from tests.contracts.encoder_cases import stacks

SIDE = 36  # the model's own, so nothing is resized


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.make("videoprism", tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def encoder(folder):
    spaces = {"clips": SpaceConfig(adapter="clip", model=folder, frame_size=SIDE, batch_frames=4)}
    return make_encoder(contract("clips", configured=spaces))


def test_frames_are_evenly_taken_and_their_values_are_0_to_1(encoder, folder):
    stack = np.concatenate(stacks(6, SIDE))
    model = VideoPrismClipModel.from_pretrained(folder).eval()
    frames = torch.from_numpy(evenly(stack, 4)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        theirs = model.get_video_features(pixel_values_videos=frames[None]).pooler_output[0, 0]
    np.testing.assert_allclose(encoder.encode([stack])[0], theirs.numpy(), atol=1e-5)


def test_a_question_needs_no_padding(encoder, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = VideoPrismClipModel.from_pretrained(folder).eval()
    for question in ("a mill", "grain water stone wheel flour sack river cart horse road"):
        padded = tokenizer([question], padding="max_length", max_length=16, return_tensors="pt")
        with torch.inference_mode():
            theirs = model.get_text_features(
                input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]
            ).pooler_output[0]
        ours = encoder.encode_queries([question])[0]
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_a_model_without_places_for_frames_is_refused(tmp_path):
    wish = SpaceConfig(adapter="clip", model=str(tiny_models.make("clip", tmp_path)))
    with pytest.raises(ConfigError, match="of the kind 'clip'; the adapter clip takes xclip"):
        contract("clips", configured={"clips": wish})
