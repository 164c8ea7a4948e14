"""Edits of index.json, on plain values."""

import copy
import json
from typing import Any

import pytest

from layout.samples import index_of, layer, manifest
from ocipkg_async.errors import InvalidLayoutError, NotFoundError
from ocipkg_async.layout import index_file
from ocipkg_async.spec import Digest
from ocipkg_async.spec.annotations import CONTAINERD_IMAGE_NAME, REF_NAME

ONE = manifest(layer("one")[0]).descriptor
TWO = manifest(layer("two")[0]).descriptor
THREE = manifest(layer("three")[0]).descriptor
FOREIGN = {
    "mediaType": "application/x.unknown",
    "digest": "sha256:" + 64 * "f",
    "size": 7,
    "annotations": {"a": "b"},
    "x-unknown": [1],
}


def named(tree: index_file.Tree) -> list[tuple[str | None, str]]:
    return [((e.get("annotations") or {}).get(REF_NAME), e["digest"]) for e in tree["manifests"]]


def tree_of(*entries: dict[str, Any]) -> index_file.Tree:
    return {"schemaVersion": 2, "manifests": list(entries), "x-foreign": {"k": "v"}}


def test_i06_a_name_moves_and_its_old_document_stays_untagged() -> None:
    tree = index_file.with_name(index_file.empty(), ONE, "v1")
    tree = index_file.with_name(tree, TWO, "v1")
    assert set(named(tree)) == {(None, ONE.digest), ("v1", TWO.digest)}
    assert len(named(tree)) == 2


def test_i06_an_untagged_entry_takes_the_name_and_keeps_what_it_says() -> None:
    entry = {
        **index_file.with_document(index_file.empty(), ONE)["manifests"][0],
        "platform": {"os": "x", "architecture": "y"},
    }
    tree = index_file.with_name(tree_of(entry), ONE, "v1")
    assert named(tree) == [("v1", ONE.digest)]
    assert tree["manifests"][0]["platform"] == {"os": "x", "architecture": "y"}


def test_i06_two_names_of_one_document_are_two_entries() -> None:
    tree = index_file.with_name(index_file.empty(), ONE, "v1")
    tree = index_file.with_name(tree, ONE, "v2")
    assert named(tree) == [("v1", ONE.digest), ("v2", ONE.digest)]
    tree = index_file.with_name(tree, TWO, "v2")
    assert sorted(named(tree)) == [("v1", ONE.digest), ("v2", TWO.digest)]


def test_setting_a_name_again_changes_nothing() -> None:
    tree = index_file.with_name(tree_of(FOREIGN), ONE, "v1")
    assert index_file.with_name(tree, ONE, "v1") is tree
    assert index_file.with_document(tree, ONE) is tree


def test_i06_duplicates_of_a_name_are_healed() -> None:
    tree = index_file.with_name(index_file.empty(), ONE, "v1")
    twice = {**tree, "manifests": tree["manifests"] * 2}
    assert named(index_file.with_name(twice, ONE, "v1")) == [("v1", ONE.digest)]


def test_removing_a_name_leaves_the_document_once() -> None:
    tree = index_file.with_name(index_file.empty(), ONE, "v1")
    assert named(index_file.without_name(tree, "v1")) == [(None, ONE.digest)]
    both = index_file.with_name(tree, ONE, "v2")
    assert named(index_file.without_name(both, "v1")) == [("v2", ONE.digest)]
    with pytest.raises(NotFoundError):
        index_file.without_name(tree, "v")


def test_i05_a_containerd_name_is_a_name() -> None:
    full = "docker.io/library/x:v1"
    entry = {**FOREIGN, "annotations": {REF_NAME: "v1", CONTAINERD_IMAGE_NAME: full, "a": "b"}}
    tree = index_file.without_name(tree_of(entry), "v1")
    assert tree["manifests"][0]["annotations"] == {CONTAINERD_IMAGE_NAME: full, "a": "b"}
    tree = index_file.with_name(tree, ONE, full)
    assert tree["manifests"][0]["annotations"] == {"a": "b"}
    assert named(tree)[1] == (full, ONE.digest)


def test_c36_an_index_takes_the_bare_entries_of_its_children_away() -> None:
    child, other = manifest(layer("one")[0]), manifest(layer("two")[0])
    index = index_of(child, other)
    tree = index_file.with_document(index_file.empty(), child.descriptor)
    tree = index_file.with_name(tree, other.descriptor, "kept")
    tree = index_file.with_document(tree, index.descriptor, [child.digest, other.digest])
    assert sorted(named(tree), key=str) == sorted(
        [(None, index.digest), ("kept", other.digest)], key=str
    )


def test_an_entry_that_says_more_survives_its_index() -> None:
    tree = tree_of(FOREIGN)
    digest = Digest("sha256:" + 64 * "f")
    assert FOREIGN in index_file.with_document(tree, ONE, [digest])["manifests"]


def test_removing_a_digest_removes_all_its_entries() -> None:
    tree = index_file.with_name(index_file.with_name(tree_of(FOREIGN), ONE, "a"), ONE, "b")
    assert index_file.without_digests(tree, {ONE.digest})["manifests"] == [FOREIGN]


def test_c36_what_an_index_listed_is_listed_in_its_place() -> None:
    tree = index_file.with_name(index_file.with_name(tree_of(FOREIGN), ONE, "a"), TWO, "b")
    after = index_file.without_digests(tree, {ONE.digest}, keep=[TWO, THREE])
    assert named(after) == [(None, FOREIGN["digest"]), ("b", TWO.digest), (None, THREE.digest)]


def test_foreign_members_survive_and_arguments_are_left_alone() -> None:
    tree = tree_of(FOREIGN)
    before = copy.deepcopy(tree)
    after = index_file.with_document(index_file.with_name(tree, ONE, "v1"), TWO)
    after = index_file.without_name(after, "v1")
    assert tree == before
    written = json.loads(index_file.encode(after))
    assert written["x-foreign"] == {"k": "v"}
    assert FOREIGN in written["manifests"]


def test_o12_the_bytes_do_not_depend_on_the_order_of_edits() -> None:
    one = index_file.with_name(index_file.with_document(index_file.empty(), TWO), ONE, "v1")
    two = index_file.with_document(index_file.with_name(index_file.empty(), ONE, "v1"), TWO)
    assert index_file.encode(one) == index_file.encode(two)


def test_i02_media_type_may_be_missing_and_is_written() -> None:
    tree = index_file.decode(b'{"schemaVersion":2,"manifests":[]}', where="x")
    assert json.loads(index_file.encode(tree))["mediaType"] == (
        "application/vnd.oci.image.index.v1+json"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schemaVersion":1,"manifests":[]}',
        '{"schemaVersion":2,"manifests":{}}',
        '{"schemaVersion":2,"manifests":[{}]}',
        '{"schemaVersion":2,"manifests":[],"manifests":[]}',
        '{"schemaVersion":2,"manifests":[],"layers":[]}',
        '{"schemaVersion":2,"manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}',
        '{"schemaVersion":2,"manifests":[],"x":1e999}',
        '{"schemaVersion":2,"manifests":[],"x":"\\ud800"}',
        '{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"../../x","size":1}]}',
    ],
)
def test_i02_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(InvalidLayoutError, match=r"index\.json of x"):
        index_file.decode(text.encode(), where="x")


def test_i02_null_is_an_empty_list() -> None:
    tree = index_file.decode(b'{"schemaVersion":2,"manifests":null,"x":1}', where="here")
    assert tree == {"schemaVersion": 2, "manifests": [], "x": 1}
    assert named(index_file.with_name(tree, ONE, "v1")) == [("v1", ONE.digest)]
    for data in (b'{"schemaVersion":2}', b"null", b"[]"):
        with pytest.raises(InvalidLayoutError):
            index_file.decode(data, where="here")
