"""The blocking client is the async one: same names, parameters, annotations and descriptions."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from ocipkg_async import client, sync

ASYNC_ONLY = {
    "repository": "returns a store whose methods are coroutines",
    "local_store": "returns a store whose methods are coroutines",
}


def public(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__[:-1]):  # the async verbs are spread over several bases
        found.update((n, value) for n, value in vars(base).items() if not n.startswith("_"))
    return found


def first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def hints(function: Callable[..., object]) -> dict[str, Any]:
    return get_type_hints(function)


METHODS = sorted(public(client.Client).keys() - ASYNC_ONLY.keys())


def test_same_names() -> None:
    blocking = public(sync.Client)
    # The async client has its options as an attribute, this one as a property.
    assert isinstance(blocking.pop("options"), property)
    assert sorted(blocking) == METHODS
    assert ASYNC_ONLY.keys() <= public(client.Client).keys()
    assert len(METHODS) > 15


@pytest.mark.parametrize("name", METHODS)
def test_same_signature_and_description(name: str) -> None:
    blocking, original = public(sync.Client)[name], public(client.Client)[name]
    assert inspect.iscoroutinefunction(original)
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.signature(blocking) == inspect.signature(original)
    assert hints(blocking) == hints(original)
    assert first_line(blocking) == first_line(original) != ""


def test_same_constructor() -> None:
    blocking, original = sync.Client.__init__, client.Client.__init__
    assert inspect.signature(blocking) == inspect.signature(original)
    assert hints(blocking) == hints(original)
