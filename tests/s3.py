"""A real S3 server on loopback whose requests can be counted, refused, and meddled with."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import uuid4

REFUSED = b"<Error><Code>AccessDenied</Code><Message>signed with test</Message></Error>"


class S3:
    """The server.

    Attributes:
        url: Of the endpoint.
        requests: ``GET /bucket/key?query`` of every request so far.
        before: Called with each of them before it is answered; one that returns True is refused (403).
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request otherwise
        self.requests: list[str] = []
        self.before: Callable[[str], bool | None] = lambda _: False
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self.url = "http://{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        query = environ.get("QUERY_STRING", "")
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}" + (query and f"?{query}")
        self.requests.append(request)
        if self.before(request):
            start_response("403 Forbidden", [("Content-Length", str(len(REFUSED)))])
            return [REFUSED]
        return self._moto(environ, start_response)

    @cached_property
    def client(self) -> Any:
        """A client of botocore's, made once: that takes longer than what is done with it."""
        from botocore.session import get_session

        return get_session().create_client("s3", region_name="us-east-1")

    def stop(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._thread.join()


class Bucket:
    """A new bucket; `url` is what a user would write."""

    def __init__(self, server: S3) -> None:
        self.server = server
        self.name = f"gristmill-{uuid4().hex}"
        self.url = f"s3://{self.name}"
        self.client = server.client
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def downloads(self) -> list[str]:
        """Keys that were fetched, in order."""
        start = f"GET /{self.name}/"
        return [r.removeprefix(start) for r in self.server.requests if r.startswith(start)]


@contextmanager
def serving() -> Iterator[S3]:
    """A running server; the environment points at it as long as the context lasts."""
    server = S3()
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield server
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
