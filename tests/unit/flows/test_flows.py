"""What Prefect is told about a flow, it keeps."""

import json

from flows.flows import Unseen, forget_flow, retry_flow
from flows.forget import Target

TARGET = Target(("file:///my%20secret.txt",), ("my secret.txt",), ("secret-id",), ())


def test_prefect_never_learns_the_names_of_files():
    told = [
        forget_flow.serialize_parameters({"around": None, "target": Unseen(TARGET)}),
        retry_flow.serialize_parameters({"around": None, "wanted": Unseen((["secret"], []))}),
    ]
    assert "secret" not in json.dumps(told)
