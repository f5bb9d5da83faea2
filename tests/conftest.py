"""Fixtures shared by all suites. Ray is started once, at the first test that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from infra.inline_executor import InlineExecutor
from infra.ray_executor import RayExecutor
from tests.s3 import S3, Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.engine import Executor


# No test fails for being slow: machines are busy.
settings.register_profile("gristmill", deadline=None)
settings.load_profile("gristmill")


@pytest.fixture(scope="session")
def ray_executor() -> Iterator[RayExecutor]:
    """An executor on one local Ray with two CPUs and one logical GPU that need not exist."""
    with RayExecutor(
        cpus=2, gpus=1, object_store_bytes=256 << 20, schedule_timeout_s=20
    ) as executor:
        yield executor


@pytest.fixture(params=["inline", pytest.param("ray", marks=pytest.mark.ray)])
def executor(request: pytest.FixtureRequest) -> Executor:
    """Every executor there is, one after the other."""
    if request.param == "inline":
        return InlineExecutor()
    ray: RayExecutor = request.getfixturevalue("ray_executor")
    return ray


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """A real S3 server; the environment points at it as long as the session lasts."""
    with serving() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3) -> Iterator[Bucket]:
    """An empty bucket of its own."""
    yield Bucket(s3_server)
    s3_server.before = lambda _: False
