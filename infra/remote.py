"""Object stores: which there are, how one is opened, and what went wrong there, told without a secret."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ObjectStore

SCHEMES: Final = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_URL: Final = re.compile(r"\S+://\S+")
_DURATION: Final = re.compile(r" in [0-9.]+(ns|µs|ms|s)\b")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")


def open_store(url: str, **client_options: Any) -> ObjectStore:
    """The store of a URL; credentials, region and endpoint come from the environment.

    Raises:
        ValueError, obstore.exceptions.BaseError: The URL or the environment make no sense.
    """
    from obstore.store import from_url

    if url.startswith("s3") and allows_http(os.environ):
        client_options["allow_http"] = True
    options: dict[str, Any] = {"client_options": client_options} if client_options else {}
    return from_url(url, **options)


def allows_http(environment: Mapping[str, str]) -> bool:
    """Whether the S3 endpoint of the environment is plain HTTP, which clients refuse unless told."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    return endpoint.startswith("http://")


def cause_of(error: Exception) -> str:
    """What an object store's client said, in one line.

    Addresses and the server's answer are left out but for its error code: they may have signatures, tokens and keys in
    them. For the same reason such an error is not chained to the one that is raised for it.
    """
    said = str(error)
    text = re.split("[<{\n]", _URL.sub("...", said.partition("\n")[0]))[0]
    code = _CODE.search(said)
    return _DURATION.sub("", text).strip(" :-") + (f" ({code[1]})" if code else "")
