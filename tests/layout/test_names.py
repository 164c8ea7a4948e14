"""Which entry a name means, and which names may be written."""

import pytest

from layout.samples import layer, manifest
from ocipkg_async.errors import (
    InvalidArgumentError,
    InvalidDigestError,
    InvalidLayoutError,
    InvalidReferenceError,
    NotFoundError,
)
from ocipkg_async.layout import names
from ocipkg_async.spec import Descriptor
from ocipkg_async.spec.annotations import CONTAINERD_IMAGE_NAME, REF_NAME


def entry(text: str, name: str | None = None, containerd: str | None = None) -> Descriptor:
    document = manifest(layer(text)[0])
    notes = {REF_NAME: name, CONTAINERD_IMAGE_NAME: containerd}
    return Descriptor(
        media_type=document.media_type,
        digest=document.digest,
        size=document.size,
        annotations={k: v for k, v in notes.items() if v is not None},
    )


V1 = entry("1", "v1")
FULL = entry("2", "ghcr.io/org/pkg:v2")
DOCKER = entry("3", "22.04", "docker.io/library/ubuntu:22.04")
UNTAGGED = entry("4")
ALL = [V1, FULL, DOCKER, UNTAGGED]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v1", V1),
        ("ghcr.io/org/pkg:v2", FULL),
        ("v2", FULL),
        ("22.04", DOCKER),
        ("docker.io/library/ubuntu:22.04", DOCKER),
        ("ubuntu:22.04", DOCKER),
    ],
)
def test_o02_names_are_found(name: str, expected: Descriptor) -> None:
    assert names.find(ALL, name) is expected


@pytest.mark.parametrize(
    "name", ["v3", "v", "V1", "", "ghcr.io/org/pkg", "ghcr.io/other/pkg:v2", "v1 ", "ubuntu"]
)
def test_o02_unknown_names_list_what_is_there(name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        names.find(ALL, name)
    assert "ghcr.io/org/pkg:v2" in (caught.value.hint or "")


def test_the_exact_text_goes_before_a_tag_that_fits() -> None:
    assert names.find([entry("x", "v2"), FULL], "v2") == entry("x", "v2")


def test_a_missing_tag_is_latest() -> None:
    latest = entry("x", "ghcr.io/org/pkg:latest")
    assert names.find([latest], "ghcr.io/org/pkg") is latest


def test_i06_one_name_on_two_documents_is_ambiguous() -> None:
    with pytest.raises(InvalidLayoutError, match="2 different"):
        names.find([V1, entry("other", "v1")], "v1")
    assert names.find([V1, V1], "v1") is V1


def test_a_tag_that_fits_two_full_names_must_be_chosen() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.find([entry("1", "a.io/x:v1"), entry("2", "b.io/x:v1")], "v1")
    assert "a.io/x:v1" in (caught.value.hint or "")


def test_listed_names_can_all_be_resolved() -> None:
    two = [
        entry("1", "latest", "docker.io/library/a:latest"),
        entry("2", "latest", "docker.io/library/b:latest"),
        V1,
        UNTAGGED,
    ]
    listed = names.listed(two)
    assert listed == ["docker.io/library/a:latest", "docker.io/library/b:latest", "v1"]
    assert [names.find(two, name) for name in listed] == two[:3]


def test_o03_no_name() -> None:
    assert names.only([UNTAGGED]) is UNTAGGED
    assert names.only([UNTAGGED, V1]) is V1
    with pytest.raises(NotFoundError):
        names.only([])
    with pytest.raises(InvalidArgumentError) as caught:
        names.only(ALL)
    assert "v1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "name",
    [
        "v1",
        "a__b",
        "_x",
        "1.0-rc.1",
        "v1.",
        "sha256",
        "a/b@c:d+e",
        "x--y",
        "ghcr.io/org/pkg:v1",
        "localhost:5000/a__b:v1",
        "[::1]:5000/a:v1",
    ],
)
def test_i04_names_that_may_be_written(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a\n",
        "a//b",
        "/a",
        "-x",
        "a..b/c",
        "é",
        "x" * 5000,
        "sha256:" + 64 * "a",
        "sha256:x",
    ],
)
def test_o11_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        names.check_name(name)


def test_digests_are_told_from_names() -> None:
    assert names.as_digest("sha256:" + 64 * "a") == "sha256:" + 64 * "a"
    assert names.as_digest("ubuntu:22.04") is None
    assert names.as_digest("sha256") is None
    with pytest.raises(InvalidDigestError):
        names.as_digest("sha256:../../etc/passwd")
