"""Manifests and indexes: what is refused, what is kept, what is built."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidDocumentError, UnsupportedError
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Index, Manifest, Platform, parse_document
from ocipkg_async.spec import media_types as m

CONFIG = Descriptor.of(b"{}", m.OCI_CONFIG)
LAYER = Descriptor.of(b"layer", m.OCI_LAYER_TAR_GZIP)


def tree(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }


MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": m.OCI_MANIFEST,
    "config": tree(CONFIG),
    "layers": [tree(LAYER)],
}
CHILD = {"mediaType": m.OCI_MANIFEST, "digest": Digest.of(b"child"), "size": 5}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": [CHILD]}


def without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key not in names}


def parse(members: object, media_type: str | None = None) -> Manifest | Index:
    return parse_document(json.dumps(members).encode(), media_type=media_type)


def test_i30_manifest() -> None:
    found = parse(MANIFEST)
    assert isinstance(found, Manifest)
    assert found.config == CONFIG
    assert found.layers == (LAYER,)
    assert found.successors == (CONFIG, LAYER)
    assert found.annotations == {}
    assert found.subject is None


def test_i30_manifest_without_layers() -> None:
    found = parse({**MANIFEST, "layers": []})
    assert found.successors == (CONFIG,)


@pytest.mark.parametrize(
    "members",
    [
        without(MANIFEST, "schemaVersion"),
        without(MANIFEST, "config"),
        without(MANIFEST, "layers"),
        {**MANIFEST, "schemaVersion": 3},
        {**MANIFEST, "schemaVersion": "2"},
        {**MANIFEST, "schemaVersion": None},
        {**MANIFEST, "config": None},
        {**MANIFEST, "layers": None},
        {**MANIFEST, "layers": {}},
        {**MANIFEST, "layers": [None]},
        {**MANIFEST, "layers": [{**tree(LAYER), "size": 1.5}]},
        {**MANIFEST, "layers": [{**tree(LAYER), "mediaType": "x"}]},
        {**MANIFEST, "layers": [{**tree(LAYER), "data": "e30="}]},
        {**MANIFEST, "config": {**tree(CONFIG), "data": "W10="}},
        {**MANIFEST, "subject": {**CHILD, "data": "e30="}},
        {**MANIFEST, "subject": {**CHILD, "mediaType": "x"}},
        {**MANIFEST, "annotations": {"a": 1}},
        {**MANIFEST, "annotations": []},
        {**MANIFEST, "mediaType": 5},
        without(INDEX, "manifests"),
        {**INDEX, "manifests": None},
        {**INDEX, "manifests": [{}]},
        {**INDEX, "manifests": [{**CHILD, "digest": "x"}]},
        {**INDEX, "manifests": [{**CHILD, "mediaType": "x"}]},
        {**INDEX, "subject": {**CHILD, "size": -1}},
        {**INDEX, "schemaVersion": 3},
        without(INDEX, "schemaVersion"),
        [],
        None,
        "x",
        5,
        {},
    ],
)
def test_i30_i34_refused(members: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse(members)


def test_i34_index() -> None:
    platform = {"os": "linux", "architecture": "arm64"}
    entries = [{**CHILD, "platform": platform}, {**CHILD, "mediaType": m.OCI_INDEX}]
    found = parse({**INDEX, "manifests": entries, "artifactType": "a/b", "subject": CHILD})
    assert isinstance(found, Index)
    assert [entry.platform for entry in found.manifests] == [
        Platform(os="linux", architecture="arm64"),
        None,
    ]
    assert found.successors == found.manifests
    assert found.artifact_type == "a/b"
    assert found.subject is not None
    assert found.subject.digest == CHILD["digest"]


def test_i02_d47_entries_of_unknown_type_are_no_error() -> None:
    found = parse({**INDEX, "manifests": [{**CHILD, "mediaType": "application/vnd.x"}]})
    assert found.successors[0].media_type == "application/vnd.x"


def test_i34_index_may_be_empty() -> None:
    assert parse({**INDEX, "manifests": []}).successors == ()
    assert json.loads(Index.build(manifests=()).raw)["manifests"] == []


def test_i36_removed_artifact_manifest() -> None:
    members = {
        "mediaType": m.OCI_ARTIFACT_MANIFEST,
        "artifactType": "a/b",
        "blobs": [tree(LAYER)],
        "subject": CHILD,
    }
    found = parse(members)
    assert isinstance(found, Manifest)
    assert found.config is None
    assert found.successors == (LAYER,)
    assert found.referrer_descriptor.artifact_type == "a/b"
    with pytest.raises(InvalidDocumentError, match="artifactType"):
        parse(without(members, "artifactType"))


@pytest.mark.parametrize("member", ["annotations", "subject", "artifactType", "mediaType"])
def test_i37_null_is_absent(member: str) -> None:
    bare = without(MANIFEST, member)
    expected, found = parse(bare, m.OCI_MANIFEST), parse({**bare, member: None}, m.OCI_MANIFEST)
    assert (found.annotations, found.subject, found.artifact_type, found.media_type) == (
        expected.annotations,
        expected.subject,
        expected.artifact_type,
        expected.media_type,
    )


@pytest.mark.parametrize(
    ("members", "came_as", "media_type"),
    [
        (MANIFEST, None, m.OCI_MANIFEST),
        (MANIFEST, m.OCI_MANIFEST, m.OCI_MANIFEST),
        (MANIFEST, m.OCI_MANIFEST + "; charset=utf-8", m.OCI_MANIFEST),
        (MANIFEST, m.OCI_MANIFEST.upper(), m.OCI_MANIFEST),
        (MANIFEST, "application/json", m.OCI_MANIFEST),
        (without(MANIFEST, "mediaType"), None, m.OCI_MANIFEST),
        (without(MANIFEST, "mediaType"), "text/plain", m.OCI_MANIFEST),
        (without(MANIFEST, "mediaType"), m.OCI_MANIFEST, m.OCI_MANIFEST),
        (without(MANIFEST, "mediaType"), m.DOCKER_MANIFEST, m.DOCKER_MANIFEST),
        ({**MANIFEST, "mediaType": m.DOCKER_MANIFEST}, None, m.DOCKER_MANIFEST),
        (without(INDEX, "mediaType"), None, m.OCI_INDEX),
        (without(INDEX, "mediaType"), m.DOCKER_MANIFEST_LIST, m.DOCKER_MANIFEST_LIST),
        ({**INDEX, "mediaType": m.DOCKER_MANIFEST_LIST}, None, m.DOCKER_MANIFEST_LIST),
    ],
)
def test_d41_i40_the_type_of_a_document(
    members: object, came_as: str | None, media_type: str
) -> None:
    assert parse(members, came_as).media_type == media_type


@pytest.mark.parametrize(
    ("members", "came_as"),
    [
        (MANIFEST, m.DOCKER_MANIFEST),
        (MANIFEST, m.OCI_INDEX),
        (INDEX, m.OCI_MANIFEST),
        (INDEX, m.DOCKER_MANIFEST_LIST),
        (without(INDEX, "mediaType"), m.OCI_MANIFEST),
        (without(MANIFEST, "mediaType"), m.OCI_INDEX),
        ({**MANIFEST, "mediaType": m.OCI_INDEX}, None),
        ({**INDEX, "mediaType": m.OCI_MANIFEST}, None),
    ],
)
def test_d41_i38_contradicting_types(members: object, came_as: str | None) -> None:
    with pytest.raises(InvalidDocumentError):
        parse(members, came_as)


@pytest.mark.parametrize(
    "extra",
    [{"layers": []}, {"config": tree(CONFIG)}, {"fsLayers": []}, {"layers": {}, "config": 1}],
)
@pytest.mark.parametrize("media_type", [None, m.OCI_INDEX, m.OCI_MANIFEST])
def test_d42_s08_two_documents_in_one(extra: dict[str, Any], media_type: str | None) -> None:
    with pytest.raises(InvalidDocumentError):
        parse({**INDEX, "mediaType": media_type, **extra})


@pytest.mark.parametrize(
    ("members", "came_as"),
    [
        ({"schemaVersion": 1, "fsLayers": [], "history": []}, None),
        ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+json; a=b"),
    ],
)
def test_d41_docker_schema_1_is_named(members: object, came_as: str | None) -> None:
    with pytest.raises(UnsupportedError, match="schema 1"):
        parse(members, came_as)


def test_other_documents_are_not_manifests() -> None:
    with pytest.raises(UnsupportedError, match="neither"):
        parse({**MANIFEST, "mediaType": "application/vnd.x+json"})


def test_d43_i21_bytes_are_kept_and_unknown_members_in_them() -> None:
    raw = json.dumps({"x": [1, {"y": None}], **MANIFEST}, indent=3).encode() + b"\n"
    found = parse_document(raw)
    assert found.raw is raw
    assert found.digest == Digest.of(raw)
    assert found.size == len(raw)
    assert found.descriptor == Descriptor.of(raw, m.OCI_MANIFEST)
    sha512 = Digest.of(raw, "sha512")
    assert parse_document(raw, digest=sha512).descriptor.digest == sha512


@pytest.mark.parametrize(
    ("members", "artifact_type"),
    [
        ({**MANIFEST, "artifactType": "a/b"}, "a/b"),
        (MANIFEST, m.OCI_CONFIG),
        ({**INDEX, "artifactType": "a/b"}, "a/b"),
        (INDEX, None),
    ],
)
def test_d86_entry_in_the_list_of_referrers(
    members: dict[str, Any], artifact_type: str | None
) -> None:
    found = parse({**members, "subject": CHILD, "annotations": {"k": "v"}})
    entry = found.referrer_descriptor
    assert entry.plain() == found.descriptor
    assert entry.artifact_type == artifact_type
    assert entry.annotations == {"k": "v"}


def test_i31_the_empty_config_needs_an_artifact_type() -> None:
    with pytest.raises(InvalidDocumentError, match="artifact type"):
        Manifest.build(config=EMPTY, layers=(LAYER,))
    # Others wrote such manifests; they are read.
    assert parse({**MANIFEST, "config": tree(EMPTY)}).artifact_type is None


@pytest.mark.parametrize("artifact_type", ["", "x", "a/b; c=d", "a/b\n"])
def test_i31_artifact_type_form(artifact_type: str) -> None:
    with pytest.raises(InvalidDocumentError):
        Manifest.build(config=EMPTY, layers=(), artifact_type=artifact_type)
    with pytest.raises(InvalidDocumentError):
        Index.build(manifests=(), artifact_type=artifact_type)


def test_i33_three_kinds_of_artifact() -> None:
    only_metadata = Manifest.build(config=EMPTY, layers=(EMPTY,), artifact_type="a/b")
    content = Manifest.build(config=EMPTY, layers=(LAYER,), artifact_type="a/b")
    own_config = Manifest.build(config=CONFIG, layers=(LAYER,))
    for one in (only_metadata, content, own_config):
        assert parse_document(one.raw) == one
    assert own_config.artifact_type is None
    assert own_config.referrer_descriptor.artifact_type == CONFIG.media_type


_BAD = Descriptor(media_type="not a type", digest=LAYER.digest, size=1)
_BAD_KEY = Descriptor.of(b"", "a/b", annotations={"": "x"})


@pytest.mark.parametrize("bad", [_BAD, _BAD_KEY], ids=["media type", "annotation"])
def test_what_is_built_is_checked(bad: Descriptor) -> None:
    with pytest.raises(InvalidDocumentError):
        Manifest.build(config=CONFIG, layers=(LAYER, bad))
    with pytest.raises(InvalidDocumentError):
        Manifest.build(config=bad, layers=())
    with pytest.raises(InvalidDocumentError):
        Manifest.build(config=CONFIG, layers=(), subject=bad)
    with pytest.raises(InvalidDocumentError):
        Index.build(manifests=(bad,))


def test_i45_annotations_of_what_is_built() -> None:
    with pytest.raises(InvalidDocumentError):
        Manifest.build(config=CONFIG, layers=(), annotations={"": "x"})
    with pytest.raises(InvalidDocumentError):
        Index.build(manifests=(), annotations={"x": 1})  # type: ignore[dict-item]
    assert Index.build(manifests=(), annotations={}).raw == Index.build(manifests=()).raw


def test_same_values_same_bytes() -> None:
    def build(annotations: dict[str, str]) -> tuple[bytes, bytes]:
        layer = Descriptor.of(b"", "a/b", annotations=annotations)
        return (
            Manifest.build(config=CONFIG, layers=(layer,), annotations=annotations).raw,
            Index.build(manifests=(layer,), annotations=annotations).raw,
        )

    assert build({"a": "1", "b": "2"}) == build({"b": "2", "a": "1"})


def test_member_order_is_that_of_ocipkg() -> None:
    raw = Manifest.build(
        config=CONFIG,
        layers=(LAYER,),
        artifact_type="a/b",
        subject=LAYER,
        annotations={"k": "v"},
    ).raw
    assert list(json.loads(raw)) == [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "subject",
        "annotations",
    ]
    assert b" " not in raw


_TYPES = st.sampled_from([m.OCI_LAYER_TAR_GZIP, m.OCTET_STREAM, m.OCIPKG_ARTIFACT, m.OCI_MANIFEST])
_ANNOTATIONS = st.none() | st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.text(st.characters(codec="utf-8")),
    max_size=3,
)
_PLATFORMS = st.none() | st.builds(
    Platform,
    os=st.sampled_from(["linux", "windows"]),
    architecture=st.sampled_from(["arm", "amd64"]),
    variant=st.sampled_from(["", "v7"]),
    os_version=st.sampled_from(["", "10.0.17763.1"]),
    os_features=st.sampled_from([(), ("win32k",)]),
)


@st.composite
def descriptors(draw: st.DrawFn) -> Descriptor:
    data = draw(st.binary(max_size=20))
    return Descriptor(
        media_type=draw(_TYPES),
        digest=Digest.of(data, draw(st.sampled_from(["sha256", "sha512"]))),
        size=len(data),
        urls=draw(st.none() | st.just(("https://example.io/",))),
        annotations=draw(_ANNOTATIONS),
        platform=draw(_PLATFORMS),
        artifact_type=draw(st.none() | _TYPES),
        data=draw(st.none() | st.just(data)),
    )


@settings(deadline=None, max_examples=50)
@given(
    descriptors(),
    st.lists(descriptors(), max_size=3).map(tuple),
    _TYPES,
    st.none() | descriptors(),
    _ANNOTATIONS,
)
def test_building_and_parsing_agree(
    config: Descriptor,
    entries: tuple[Descriptor, ...],
    artifact_type: str,
    subject: Descriptor | None,
    annotations: dict[str, str] | None,
) -> None:
    manifest = Manifest.build(
        config=config,
        layers=entries,
        artifact_type=artifact_type,
        subject=subject,
        annotations=annotations,
    )
    index = Index.build(
        manifests=entries, artifact_type=artifact_type, subject=subject, annotations=annotations
    )
    assert parse_document(manifest.raw) == manifest
    assert parse_document(index.raw, media_type=m.OCI_INDEX, digest=index.digest) == index
    assert (manifest.config, manifest.layers, manifest.subject) == (config, entries, subject)
    assert manifest.annotations == (annotations or {})


_MEMBERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([1, 2, True, None, "2"]),
        "mediaType": st.sampled_from(
            [m.OCI_INDEX, m.OCI_MANIFEST, m.OCI_ARTIFACT_MANIFEST, 1, None]
        ),
        "manifests": st.sampled_from([[], [CHILD], {}, None, [[]]]),
        "layers": st.sampled_from([[], [CHILD], {}, None, [[]]]),
        "config": st.sampled_from([CHILD, None, [], "x"]),
        "blobs": st.sampled_from([[], None, 3]),
        "artifactType": st.sampled_from(["a/b", None, 3]),
        "subject": st.sampled_from([CHILD, None, {}, []]),
        "annotations": st.sampled_from([{}, None, {"a": None}, 3]),
    },
)


@settings(deadline=None, max_examples=150)
@given(_MEMBERS, st.sampled_from([None, "", ";", m.OCI_INDEX, m.DOCKER_MANIFEST, "text/html"]))
def test_s08_never_another_error_and_never_two_readings(
    members: dict[str, Any], media_type: str | None
) -> None:
    try:
        found = parse(members, media_type)
    except (InvalidDocumentError, UnsupportedError):
        return
    both = members.get("manifests") is not None and (
        members.get("layers") is not None or members.get("config") is not None
    )
    assert not both
    assert isinstance(found, Index) == (members.get("manifests") is not None)
