"""Names of packages in the store's layout, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidPlatformError
from ocipkg_async.layout.names import check_name
from ocipkg_async.spec import Digest, Platform, Reference
from ocipkg_async.store.names import from_name, to_name

words = st.from_regex(r"[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8}){0,2}", fullmatch=True)
platforms = st.builds(
    Platform,
    os=words,
    architecture=words,
    variant=words | st.just(""),
    os_version=st.from_regex(r"[0-9]{1,3}(?:\.[0-9]{1,5}){0,3}", fullmatch=True) | st.just(""),
)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
references = st.builds(
    Reference,
    registry=st.sampled_from(["ghcr.io", "localhost:5000", "docker.io", "[::1]:5000"]),
    repository=st.sampled_from(["library/ubuntu", "a/b__c/d-e"]),
    tag=tags | st.none(),
    digest=st.sampled_from([None, Digest.of(b"a"), Digest.of(b"a", "sha512")]),
)


@given(references, st.none() | platforms)
def test_names_come_back(reference: Reference, platform: Platform | None) -> None:
    name = to_name(reference, platform)
    assert check_name(name) == name
    assert from_name(name) == (reference.with_default_tag(), platform)


@given(references, references, st.none() | platforms, st.none() | platforms)
def test_different_packages_have_different_names(
    one: Reference, two: Reference, first: Platform | None, second: Platform | None
) -> None:
    same = one.with_default_tag() == two.with_default_tag() and first == second
    assert (to_name(one, first) == to_name(two, second)) == same


@given(st.text(max_size=60) | st.from_regex(r"[a-z.:/+@0-9-]{1,60}", fullmatch=True))
def test_names_of_others_are_none_or_ours(text: str) -> None:
    found = from_name(text)
    assert found is None or from_name(to_name(*found)) == found


@pytest.mark.parametrize("name", ["", "v1", "pkg:v1", "ghcr.io/a/b", "ghcr.io/a:v1+x", "+a+b"])
def test_names_that_are_not_ours(name: str) -> None:
    assert from_name(name) is None


@pytest.mark.parametrize("platform", ["-linux/amd64", "linux_/amd64", "windows(10 beta)/amd64"])
def test_platform_that_cannot_be_in_a_name(platform: str) -> None:
    with pytest.raises(InvalidPlatformError) as caught:
        to_name(Reference.parse("ghcr.io/a:v1"), Platform.parse(platform))
    assert caught.value.hint
