"""The lake that is damaged, built once."""

import pytest

from tests.integration.damage import DamagedMill


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[DamagedMill, dict, tuple]:
    """The mill, what its tables show while it is whole, and what it publishes."""
    mill = DamagedMill.build(tmp_path_factory.mktemp("damage"))
    return mill, mill.shown(), mill.published()


@pytest.fixture
def whole_mill(built: tuple[DamagedMill, dict, tuple]) -> DamagedMill:
    built[0].restore()
    return built[0]
