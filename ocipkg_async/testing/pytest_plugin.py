"""Fixtures for pytest: a registry for each test.

One line in the ``conftest.py`` at the top of a test suite switches them on::

    pytest_plugins = ["ocipkg_async.testing.pytest_plugin"]

Then a test takes a registry as an argument::

    def test_list(oci_registry):
        with Client() as client:
            assert client.repositories(oci_registry.host) == []
        assert oci_registry.requests[-1].path == "/v2/_catalog"

The fixtures are blocking and the registry has a thread of its own. So they serve ordinary tests,
tests with a loop of anyio, asyncio or trio, and clients in other processes.

For options, TLS and access control ask for `run_oci_registry`, or override ``oci_registry``::

    @pytest.fixture
    def oci_registry(run_oci_registry):
        return run_oci_registry(access=Access(users={"alice": "secret"}))

There is no entry point that would load this by itself: a suite shall say where its fixtures come
from, and others that merely have ocipkg_async installed neither pay for the import nor get names
they did not ask for.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .running import RunningRegistry, run_registry


@pytest.fixture
def run_oci_registry() -> Iterator[Callable[..., RunningRegistry]]:
    """Start registries with options; they end with the test.

    Example:
        ::

            def test_old_registry(run_oci_registry):
                registry = run_oci_registry(referrers=False)
                with Client() as client:
                    assert client.repositories(registry.host) == []

    Returns:
        a function that takes the options of `ocipkg_async.testing.EmbeddedRegistry` and returns a
        `ocipkg_async.testing.RunningRegistry`; it raises what `run_registry` raises.
    """
    with ExitStack() as stack:

        def run(*args: Any, **options: Any) -> RunningRegistry:
            return stack.enter_context(run_registry(*args, **options))

        yield run


@pytest.fixture
def oci_registry(run_oci_registry: Callable[..., RunningRegistry]) -> RunningRegistry:
    """A registry of this test alone, empty, on a free port of 127.0.0.1.

    Example:
        ::

            def test_try_again(oci_registry):
                oci_registry.faults.refuse_next = 1
                with Client() as client:
                    client.repositories(oci_registry.host)
                assert [one.status for one in oci_registry.requests] == [429, 200]
    """
    return run_oci_registry()
