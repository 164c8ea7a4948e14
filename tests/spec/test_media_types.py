"""Media types: both columns of the table, compression, form."""

import pytest

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.spec import media_types as m

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


@pytest.mark.parametrize(
    ("media_type", "manifest", "index"),
    [
        (OCI + "index.v1+json", False, True),
        (DOCKER + "distribution.manifest.list.v2+json", False, True),
        (OCI + "manifest.v1+json", True, False),
        (DOCKER + "distribution.manifest.v2+json", True, False),
        ("application/vnd.oci.artifact.manifest.v1+json", True, False),
        (OCI + "config.v1+json", False, False),
        (DOCKER + "container.image.v1+json", False, False),
        (DOCKER + "distribution.manifest.v1+json", False, False),
        ("application/vnd.oci.descriptor.v1+json", False, False),
        ("application/vnd.oci.empty.v1+json", False, False),
        ("application/json", False, False),
    ],
)
def test_i40_documents(media_type: str, manifest: bool, index: bool) -> None:
    assert m.is_manifest(media_type) is manifest
    assert m.is_index(media_type) is index
    assert m.is_document(media_type) is (manifest or index)


@pytest.mark.parametrize(
    ("media_type", "compression", "foreign"),
    [
        (OCI + "layer.v1.tar", "", False),
        (OCI + "layer.v1.tar+gzip", "gzip", False),
        (OCI + "layer.v1.tar+zstd", "zstd", False),
        (OCI + "layer.v1.tar+lz9", "lz9", False),
        (DOCKER + "image.rootfs.diff.tar", "", False),
        (DOCKER + "image.rootfs.diff.tar.gzip", "gzip", False),
        (DOCKER + "image.rootfs.diff.tar.zstd", "zstd", False),
        (OCI + "layer.nondistributable.v1.tar", "", True),
        (OCI + "layer.nondistributable.v1.tar+gzip", "gzip", True),
        (OCI + "layer.nondistributable.v1.tar+zstd", "zstd", True),
        (DOCKER + "image.rootfs.foreign.diff.tar.gzip", "gzip", True),
        ("application/vnd.ocipkg.v1.layer.tar+gzip", "gzip", False),
        ("application/vnd.ocipkg.v1.layer.tar+zstd", "zstd", False),
        (OCI + "config.v1+json", None, False),
        ("application/vnd.oci.empty.v1+json", None, False),
        ("application/octet-stream", None, False),
        ("application/vnd.guitar", None, False),
        (OCI + "layer.v1.tar+gzip\n", None, False),
    ],
)
def test_i40_i41_layers(media_type: str, compression: str | None, foreign: bool) -> None:
    assert m.tar_compression(media_type) == compression
    assert m.is_foreign_layer(media_type) is foreign


@pytest.mark.parametrize(
    "text",
    [
        "application/json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "a/b",
        "application/vnd.unknown.artifact.v1",
        "x" * 127 + "/" + "y" * 127,
        "text/x!#$&-^_.+",
    ],
)
def test_i20_rfc6838(text: str) -> None:
    assert m.check_media_type(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "application",
        "application/",
        "/json",
        "a/b/c",
        "a b/c",
        "a/b\n",
        "é/a",
        "-a/b",
        "a/.b",
        "application/json; charset=utf-8",
        "x" * 128 + "/y",
        "x/" + "y" * 128,
    ],
)
def test_i20_not_rfc6838(text: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        m.check_media_type(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        (" Application/JSON ;a=b;c", "application/json"),
        ("", ""),
    ],
)
def test_d07_content_type_without_parameters(header: str, media_type: str) -> None:
    assert m.without_parameters(header) == media_type


def test_oras_names_of_artifacts_without_type() -> None:
    assert m.UNKNOWN_ARTIFACT == "application/vnd.unknown.artifact.v1"
    assert m.OCI_EMPTY == "application/vnd.oci.empty.v1+json"
