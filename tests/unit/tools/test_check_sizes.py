import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "check_sizes.py"


@pytest.fixture(scope="module")
def check_sizes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_sizes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function_of(n_lines: int) -> str:
    return "def long():\n" + "    pass\n" * (n_lines - 1)


def test_code_within_the_limits_passes(check_sizes: ModuleType):
    assert check_sizes.offences_of(function_of(60), "a.py") == []
    assert check_sizes.offences_of("x = 1\n" * 400, "a.py") == []


def test_long_function_is_named_with_its_line(check_sizes: ModuleType):
    source = "\n" + function_of(61)
    assert check_sizes.offences_of(source, "a.py") == ["a.py:2: long has 61 lines, at most 60"]


def test_long_method_and_coroutine_count_too(check_sizes: ModuleType):
    body = "        pass\n" * 60
    source = f"class A:\n    def method(self):\n{body}    async def other(self):\n{body}"
    assert len(check_sizes.offences_of(source, "a.py")) == 2


def test_long_file_is_named(check_sizes: ModuleType):
    assert check_sizes.offences_of("x = 1\n" * 401, "a.py") == ["a.py: 401 lines, at most 400"]
