"""Fixtures shared by all suites. Ray is started once, at the first test that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.inline_executor import InlineExecutor
from infra.ray_executor import RayExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.engine import Executor


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
