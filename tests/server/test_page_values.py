"""The page's decisions, with plain values: what a manifest is called, and the commands for it."""

import json

import pytest

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.server.page.commands import Address, fetching, first_push
from ocipkg_async.server.page.document import size_text
from ocipkg_async.server.page.markup import Markup, element, visible
from ocipkg_async.server.page.summaries import ContentKind, summarise
from ocipkg_async.spec import EMPTY, Descriptor, Manifest, media_types

TAR = Descriptor.of(b"layer", media_types.OCI_LAYER_TAR)
DOCKER_TAR = Descriptor.of(b"layer", "application/vnd.docker.image.rootfs.diff.tar.gzip")
LINUX = {"os": "linux", "architecture": "amd64"}


def named(title: str) -> Descriptor:
    return Descriptor.of(
        title.encode(), "text/plain", annotations={"org.opencontainers.image.title": title}
    )


@pytest.mark.parametrize(
    ("config", "layers", "artifact_type", "kind", "said"),
    [
        (media_types.OCI_CONFIG, [TAR], None, ContentKind.IMAGE, ""),
        (media_types.DOCKER_CONFIG, [DOCKER_TAR], None, ContentKind.IMAGE, ""),
        (media_types.OCI_CONFIG, [], None, ContentKind.IMAGE, ""),
        (media_types.OCI_CONFIG, [TAR], "a/b", ContentKind.ARTIFACT, "a/b"),
        (media_types.OCI_CONFIG, [named("x")], None, ContentKind.ARTIFACT, "text/plain"),
        (media_types.OCIPKG_CONFIG, [TAR], None, ContentKind.PACKAGE, ""),
        (media_types.OCI_EMPTY, [TAR], media_types.OCIPKG_ARTIFACT, ContentKind.PACKAGE, ""),
        (media_types.OCI_EMPTY, [named("x")], "a/b", ContentKind.ARTIFACT, "a/b"),
        ("application/vnd.cncf.helm.config.v1+json", [TAR], None, ContentKind.ARTIFACT, None),
    ],
)
def test_kinds_of_manifests(
    config: str,
    layers: list[Descriptor],
    artifact_type: str | None,
    kind: ContentKind,
    said: str | None,
) -> None:
    document = Manifest.build(
        config=Descriptor.of(b"{}", config), layers=tuple(layers), artifact_type=artifact_type
    )
    summary = summarise(document.raw, document.descriptor)
    assert summary.kind is kind
    assert summary.type == (config if said is None else said)


@pytest.mark.parametrize(
    ("entries", "artifact_type", "kind", "said"),
    [
        ([{"platform": LINUX}], None, ContentKind.IMAGE_INDEX, ""),
        ([{}], None, ContentKind.INDEX, ""),
        ([], None, ContentKind.INDEX, ""),
        ([], "a/b", ContentKind.INDEX, "a/b"),
        ([{"platform": LINUX, "artifactType": "a/b"}], None, ContentKind.INDEX, ""),
        ([{"artifactType": media_types.OCIPKG_ARTIFACT}], None, ContentKind.PACKAGE_INDEX, ""),
        ([{}], media_types.OCIPKG_ARTIFACT, ContentKind.PACKAGE_INDEX, ""),
    ],
)
def test_kinds_of_indexes(
    entries: list[dict[str, object]], artifact_type: str | None, kind: ContentKind, said: str
) -> None:
    child = {"mediaType": media_types.OCI_MANIFEST, "digest": EMPTY.digest, "size": 2}
    tree = {"schemaVersion": 2, "manifests": [{**child, **one} for one in entries]}
    if artifact_type:
        tree["artifactType"] = artifact_type
    raw = json.dumps(tree).encode()
    summary = summarise(raw, Descriptor.of(raw, media_types.OCI_INDEX))
    assert (summary.kind, summary.type, summary.size) == (kind, said, None)
    assert summary.part_count == len(entries)


def test_shared_content_counts_once_and_files_are_named() -> None:
    files = [named(f"file-{n}") for n in range(8)]
    document = Manifest.build(config=EMPTY, layers=(*files, files[0], TAR), artifact_type="a/b")
    summary = summarise(document.raw, document.descriptor)
    assert summary.size == 2 + sum(one.size for one in files) + TAR.size
    assert summary.parts == tuple(f"file-{n}" for n in range(6))
    assert summary.part_count == 10


def test_what_is_no_manifest() -> None:
    with pytest.raises(InvalidDocumentError):
        summarise(b"{}", Descriptor.of(b"{}", media_types.OCI_MANIFEST))


@pytest.mark.parametrize(
    ("host", "tls", "ours", "skopeo", "docker"),
    [
        ("127.0.0.1:5000", False, "", " --src-tls-verify=false", True),
        ("localhost:5000", True, " --https", "", True),
        ("a.example", True, "", "", True),
        ("a.example:80", False, " --plain-http", " --src-tls-verify=false", False),
    ],
)
def test_commands_speak_what_the_registry_speaks(
    host: str, *, tls: bool, ours: str, skopeo: str, docker: bool
) -> None:
    address = Address.of(host, tls=tls, own="own:1")
    assert fetching(ContentKind.IMAGE, address, "a/b", "v1") == [
        f"ocipkg-async pull{ours} {host}/a/b:v1 -o b",
        f"skopeo copy{skopeo} docker://{host}/a/b:v1 oci:b-layout:v1",
        *([f"docker pull {host}/a/b:v1"] if docker else []),
    ]


def test_shells_leave_ipv6_addresses_alone() -> None:
    address = Address.of("[::1]:5000", tls=False, own="own:1")
    assert fetching(ContentKind.PACKAGE, address, "a", "v1") == [
        "ocipkg-async get '[::1]:5000/a:v1'",
        "ocipkg-async pull '[::1]:5000/a:v1' -o a",
        "skopeo copy --src-tls-verify=false 'docker://[::1]:5000/a:v1' oci:a-layout:v1",
    ]
    assert first_push(address, asks=True) == [
        "ocipkg-async login '[::1]:5000'",
        "echo hello > hello.txt",
        "ocipkg-async push '[::1]:5000/notes:v1' hello.txt",
    ]


def test_text_is_escaped_and_visible() -> None:
    made = element("a", "<b>&", Markup("<i>"), element("p", "\x1b[31m"), href="'\"<>&", title="")
    assert made == ('<a href="&#x27;&quot;&lt;&gt;&amp;">&lt;b&gt;&amp;<i><p>[U+001B][31m</p></a>')
    assert visible("\u202ea\tb\u2028c\u200d\ud800é漢🙂") == "[U+202E]a b c[U+200D][U+D800]é漢🙂"
    assert visible("x" * 300) == "x" * 300
    assert visible("x" * 301) == "x" * 299 + "…"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (12_700, "12.4 KiB"),
        (2**70, "1048576 PiB"),
    ],
)
def test_sizes(size: int, shown: str) -> None:
    assert size_text(size) == shown
