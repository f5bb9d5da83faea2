"""Lakes on a local disk and in a bucket, for the suites that run over both."""

from pathlib import Path
from uuid import uuid4

import pytest

from infra.lake import Lake
from tests.s3 import S3, Bucket


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3) -> str:
    """URL of an empty bucket."""
    return Bucket(s3_server).url


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "s3":
        return Lake.open(f"{request.getfixturevalue('s3_bucket')}/{uuid4().hex}", create=True)
    return Lake.open(str(tmp_path / "my lake"), create=True)


@pytest.fixture
def local_lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), create=True)
