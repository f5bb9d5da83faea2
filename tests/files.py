"""What a listing knows of one file."""

from dataclasses import replace
from pathlib import Path

from infra.sources.local import LocalFiles, file_uri
from stages.messages import DecodeRequest


def decode_request(path: Path) -> DecodeRequest:
    """A request to decode a file as it is now; what is no file has a hash of zeros."""
    files = LocalFiles()
    found = files.look(file_uri(path), file_uri(path.parent))
    assert found is not None, path
    hashed = found if found.reason else files.hash(found.file)
    return DecodeRequest(replace(hashed.file, content_hash=hashed.file.content_hash or "0" * 64))
