"""Copy freely licensed photos out of installed packages: ``python samples/photos.py FOLDER``.

scikit-image and scikit-learn carry these pictures in their wheels, so they need no download and are not in this
repository. Each is checked against the digest of the file whose licence was read. `FOLDER-CREDITS.txt` names authors.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

_SKIMAGE: Final = "skimage.data"
_SKLEARN: Final = "sklearn.datasets.images"


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture inside a package, as its package describes it."""

    package: str
    file: str
    sha256: str
    name: str
    licence: str
    author: str


PHOTOS: Final = (
    Photo(
        _SKIMAGE,
        "chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "cat.png",
        "CC0",
        "Stefan van der Walt",
    ),
    Photo(
        _SKIMAGE,
        "coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "coffee.png",
        "CC0",
        "Rachel Michetti",
    ),
    Photo(
        _SKLEARN,
        "flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        "flower.jpg",
        "CC BY 2.0",
        "vultilion (Flickr)",
    ),
    Photo(
        _SKLEARN,
        "china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "temple.jpg",
        "CC BY 2.0",
        "danielbuechele (Flickr)",
    ),
    Photo(
        _SKIMAGE,
        "rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "rocket.jpg",
        "public domain",
        "SpaceX",
    ),
    Photo(
        _SKIMAGE,
        "horse.png",
        "c7fb60789fe394c485f842291ea3b21e50d140f39d6dcb5fb9917cc178225455",
        "horse.png",
        "CC0",
        "Andreas Preuss",
    ),
    Photo(
        _SKIMAGE,
        "camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "cameraman.png",
        "CC0",
        "Lav Varshney",
    ),
    Photo(
        _SKIMAGE,
        "brick.png",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "bricks.png",
        "CC0",
        "CC0Textures",
    ),
    Photo(
        _SKIMAGE,
        "astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "astronaut.png",
        "public domain",
        "NASA",
    ),
    Photo(
        _SKIMAGE,
        "clock_motion.png",
        "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
        "clock.png",
        "public domain",
        "Stefan van der Walt",
    ),
    Photo(
        _SKIMAGE,
        "coins.png",
        "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
        "coins.png",
        "no known copyright restrictions",
        "Brooklyn Museum",
    ),
    Photo(
        _SKIMAGE,
        "hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "galaxies.jpg",
        "public domain",
        "NASA",
    ),
)


def main(folder: Path) -> None:
    """Copy all photos into `folder` and write the credits next to it."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in PHOTOS:
        _copy(photo, folder / photo.name)
    lines = [f"{p.name}: {p.author}, {p.licence} ({p.package}, {p.file})" for p in PHOTOS]
    folder.with_name(f"{folder.name}-CREDITS.txt").write_text("\n".join(lines) + "\n", "utf-8")


def _copy(photo: Photo, target: Path) -> None:
    data = files(photo.package).joinpath(photo.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise SystemExit(
            f"{photo.file} in {photo.package} is not the picture that was chosen: "
            "install the versions in requirements.lock"
        )
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python samples/photos.py FOLDER")
    main(Path(sys.argv[1]))
