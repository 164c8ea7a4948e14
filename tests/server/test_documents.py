"""What must be there before a manifest is taken, as values (C-35)."""

import msgspec

from ocipkg_async.server.documents import needed_blobs, needed_manifests
from ocipkg_async.spec import EMPTY, Index
from server.driving import manifest


def test_what_is_listed_often_is_needed_once() -> None:
    document = manifest(layers=("layer", "layer"))
    index = Index.build(manifests=(document.descriptor,) * 1000 + (EMPTY,) * 1000)
    assert needed_manifests(index) == [document.descriptor]
    assert needed_blobs(index) == [EMPTY]
    assert [one.digest for one in needed_blobs(document)] == [
        EMPTY.digest,
        document.layers[0].digest,
    ]


def test_each_size_that_is_told_of_a_blob_is_checked() -> None:
    wrong = msgspec.structs.replace(EMPTY, size=3)
    assert needed_blobs(Index.build(manifests=(EMPTY, wrong))) == [EMPTY, wrong]
