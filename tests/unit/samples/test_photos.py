import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[3] / "samples" / "photos.py"


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_photos", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sample_photos", module)  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_a_dozen_pictures_and_their_credits(photos: ModuleType, tmp_path: Path):
    photos.main(tmp_path / "photos")
    names = sorted(path.name for path in (tmp_path / "photos").iterdir())
    assert len(names) == 12
    for name in names:
        with Image.open(tmp_path / "photos" / name) as picture:
            picture.verify()
    credited = (tmp_path / "photos-CREDITS.txt").read_text().splitlines()
    assert sorted(line.partition(":")[0] for line in credited) == names


def test_another_picture_under_the_same_name_is_refused(
    photos: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(photos, "PHOTOS", (replace(photos.PHOTOS[0], sha256="0" * 64),))
    with pytest.raises(SystemExit, match=r"requirements\.lock"):
        photos.main(tmp_path / "photos")
    assert list((tmp_path / "photos").iterdir()) == []
