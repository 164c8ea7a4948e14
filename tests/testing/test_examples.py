"""The examples in the docstrings run as they stand."""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from ocipkg_async import testing
from ocipkg_async.sync import Client
from ocipkg_async.testing import pytest_plugin
from testing.outside import outcome, run_pytest

_BLOCK = re.compile(r"::\n\n(?P<text>(?:[ ]{4}.*\n|\n)+)")

# What an example of a test takes from its module's head.
HEAD = """
import pytest
from ocipkg_async.sync import Client
from ocipkg_async.testing import Access
"""


def examples(documented: object) -> list[str]:
    """The blocks of code in a docstring."""
    text = f"{inspect.getdoc(documented)}\n"
    return [textwrap.dedent(found["text"]) for found in _BLOCK.finditer(text)]


@pytest.mark.parametrize(
    "documented",
    [
        testing,
        testing.run_registry,
        testing.RunningRegistry,
        testing.RunningRegistry.docker_config,
        testing.Requests,
    ],
    ids=lambda documented: documented.__name__,
)
def test_examples_run(
    documented: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examples(documented)
    assert found
    for code in found:
        names = {"Client": Client, "Path": Path, "urlopen": urlopen, **vars(testing)}
        exec(code, names)  # noqa: S102 - our own text


def test_examples_of_tests_run(tmp_path: Path) -> None:
    line, test, override = examples(pytest_plugin)
    (options,) = examples(pytest_plugin.run_oci_registry)
    (own,) = examples(pytest_plugin.oci_registry)
    user = "def test_user(oci_registry): assert oci_registry.users\n"
    status, printed = run_pytest(
        tmp_path,
        conftest=line,
        test_one=HEAD + test + options + own,
        test_override=HEAD + override + user,
    )
    assert status == 0, printed
    assert outcome(printed) == {"passed": 4}
