"""Every index family by name. To add one: a file with a class, a row here, a contract case."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from schemas.errors import ConfigError
from stages.index.families.binary import Binary
from stages.index.families.flat import Flat
from stages.index.families.hnsw import Hnsw
from stages.index.families.ivf import Ivf, WholeVectors
from stages.index.families.pq import ProductCodes
from stages.index.families.rabitq import OneBitCodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stages.index.families.protocol import IndexFamily

_ROWS: Final[tuple[IndexFamily, ...]] = (
    Flat("flat", "float32"),
    Flat("flat_fp16", "fp16"),
    Flat("flat_sq8", "sq8"),
    Hnsw("hnsw_flat", "float32"),
    Hnsw("hnsw_sq8", "sq8"),
    Ivf("ivf_flat", WholeVectors("float32"), gpu=True),
    Ivf("ivf_fp16", WholeVectors("fp16"), gpu=True),
    Ivf("ivf_sq8", WholeVectors("sq8"), gpu=True),
    Ivf("ivf_pq", ProductCodes(optimised=False), rescores=True),
    Ivf("ivf_opq_pq", ProductCodes(optimised=True), rescores=True),
    Ivf("ivf_rabitq", OneBitCodes(), rescores=True),
    Binary("binary"),
)
FAMILIES: Final[Mapping[str, IndexFamily]] = MappingProxyType({row.name: row for row in _ROWS})


def family(name: str) -> IndexFamily:
    """The family of a registry name.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in FAMILIES:
        raise ConfigError(f"no index family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]
