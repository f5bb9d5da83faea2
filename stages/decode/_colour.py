"""What a picture looks like on an sRGB screen: eight bits, alpha on white, colours out of their own space."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from math import sqrt
from typing import Final

import numpy as np
from PIL import Image, ImageCms

_BYTE_MAX: Final = 255
_LARGE_PIXELS: Final = 8_000_000
_REDUCIBLE: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
_GREY: Final = ("1", "L", "LA", "La")
_FLAT: Final = ("L", "RGB", "CMYK", "LAB")
_WHITE: Final = (255, 255, 255, 255)
# Samples are stored in 16 bits by cameras, scanners and microscopes that have fewer.
_DEPTHS_BITS: Final = (8, 10, 12, 14, 16)
# Colour spaces of ICC.1:2022, table 19, as LittleCMS writes them, to the mode that has their channels.
_SPACES: Final = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
PROFILE_ERRORS: Final = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_TIFF_PHOTOMETRIC: Final = 262
_WHITE_IS_ZERO: Final = 0


def shown_in_srgb(image: Image.Image, notes: list[str], *, negative: bool = False) -> Image.Image:
    """A loaded picture as mode RGB in sRGB on white; of a very large one an average.

    Args:
        image: In any mode of Pillow, with its ICC profile in `info`.
        notes: Gets what a person should know of its colours.
        negative: Deep samples count from white (see `counts_from_white`).
    """
    profile = image.info.get("icc_profile")
    flat = _on_white(_to_eight_bits(_shrunk(image), negative=negative))
    if isinstance(profile, bytes) and profile:
        converted = _by_profile(flat, profile, notes)
        if converted is not None:
            return converted
    if flat.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transform(lab, "LAB").apply(flat)
    return flat if flat.mode == "RGB" else flat.convert("RGB")


def counts_from_white(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF of more than eight bits: Pillow turns only smaller ones over (13.0)."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO and _is_deep(image)


def _shrunk(image: Image.Image) -> Image.Image:
    """Very large pictures are averaged down first, so that the steps after this one copy little."""
    factor = int(sqrt(image.width * image.height / _LARGE_PIXELS))
    if factor < 2 or image.mode not in _REDUCIBLE:
        return image
    return image.reduce(factor)


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _to_eight_bits(image: Image.Image, *, negative: bool) -> Image.Image:
    """16-bit, 32-bit and float pictures scaled to 0..255 (Pillow would clip them); others as they are."""
    if not _is_deep(image):
        return image
    values = np.asarray(image, dtype=np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode.startswith("I;16"):
        low, high = 0.0, _full_scale(high)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (
        _BYTE_MAX / max(high - low, 1e-12)
    )
    grey = np.clip(np.rint(scaled), 0, _BYTE_MAX).astype(np.uint8)
    return Image.fromarray(_BYTE_MAX - grey if negative else grey)


def _full_scale(highest: float) -> float:
    """The white of unsigned samples: the largest value of the least usual depth that holds them all."""
    return float(next((1 << bits) - 1 for bits in _DEPTHS_BITS if highest < 1 << bits))


def _on_white(image: Image.Image) -> Image.Image:
    """In a mode with a colour space of its own and without alpha: L, RGB, CMYK or LAB."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, _WHITE)
        ground.alpha_composite(layer)
        return ground.convert("L" if image.mode in _GREY else "RGB")
    if image.mode in _FLAT:
        return image
    return image.convert("L" if image.mode in _GREY else "RGB")


def _by_profile(flat: Image.Image, data: bytes, notes: list[str]) -> Image.Image | None:
    """By the profile inside the picture; None where it needs none or cannot be used."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if "sRGB" in (profile.profile.profile_description or ""):
            return None  # the name is that of the space it would be turned to
        mode = _SPACES.get(space, "")
        if (
            mode == "RGB" and flat.mode == "L"
        ):  # grey pictures often carry the profile of their screen
            flat = flat.convert("RGB")
        if flat.mode != mode:
            notes.append(f"colour profile for {space} on a picture in {flat.mode}: not used")
            return None
        return _transform(profile, mode).apply(flat)
    except PROFILE_ERRORS:
        notes.append("damaged colour profile: colours as they are stored")
        return None


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # Perceptual is what a profile means for photos; one of matrices has no other (ICC.1:2022, 6.2).
    return ImageCms.buildTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL)


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
