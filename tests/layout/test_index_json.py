"""index.json while others change it, also in place; and looking up what it lists."""

import io
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from layout.samples import index_of, manifest, push, push_image
from ocipkg_async.content import fetch_bytes
from ocipkg_async.errors import InvalidLayoutError, LimitExceededError
from ocipkg_async.layout import Layout
from ocipkg_async.spec import EMPTY, Descriptor, Index, Manifest
from ocipkg_async.spec.annotations import CONTAINERD_IMAGE_NAME, REF_NAME
from ocipkg_async.spec.image_layout import blob_path


@pytest.fixture
async def layout(tmp_path: Path) -> Layout:
    return await Layout.open(tmp_path / "layout", create=True, flush="none")


def index(layout: Layout) -> Path:
    return layout.path / "index.json"


def list_also(layout: Layout, *descriptors: Descriptor, **notes: str) -> None:
    """Add entries as another tool does: in the file itself."""
    tree: dict[str, Any] = json.loads(index(layout).read_text())
    tree["manifests"] += [
        {
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
            "annotations": notes,
        }
        for descriptor in descriptors
    ]
    index(layout).write_text(json.dumps(tree))


async def test_a_change_in_place_is_read_whole(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    list_also(layout, image.descriptor, **{REF_NAME: "v2"})
    whole = index(layout).read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        for _ in range(20):
            if await read_while_it_is_finished(layout, whole[:cut], whole):
                break
        else:
            pytest.fail("it was never waited for")


async def read_while_it_is_finished(layout: Layout, half: bytes, whole: bytes) -> bool:
    """Read the tags; return whether the writer came in time, which on a busy machine it may not."""
    index(layout).write_bytes(half)

    async def finish() -> None:
        await anyio.sleep(0.01)
        index(layout).write_bytes(whole)

    async with anyio.create_task_group() as group:
        group.start_soon(finish)
        try:
            assert await layout.tags() == ["v1", "v2"]
        except InvalidLayoutError:
            return False
    return True


async def test_what_stays_broken_is_an_error(layout: Layout) -> None:
    await layout.tags()
    index(layout).write_text("{")
    for age_s in (0, 60):
        os.utime(index(layout), (time.time() - age_s,) * 2)
        with pytest.raises(InvalidLayoutError):
            await layout.tags()


async def test_a_change_that_looks_like_none_is_seen(layout: Layout) -> None:
    """Of the same length, within one tick of the clock."""
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    for name in (b"v2", b"v3"):
        before, data = index(layout).stat(), index(layout).read_bytes()
        index(layout).write_bytes(re.sub(rb'"v[1-3]"', b'"%s"' % name, data))
        os.utime(index(layout), ns=(before.st_atime_ns, before.st_mtime_ns))
        assert await layout.tags() == [name.decode()]


async def test_a_change_while_it_is_read_is_seen(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same length, within the tick of the one before; and reading takes long."""
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    again = await Layout.open(layout.path)
    now_s = index(layout).stat().st_mtime

    class Slow(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal now_s
            data = super().read(-1 if size is None else size)
            if b'"v1"' in data:
                before = index(layout).stat()
                index(layout).write_bytes(data.replace(b'"v1"', b'"v2"'))
                os.utime(index(layout), ns=(before.st_atime_ns, before.st_mtime_ns))
                now_s += 1
            return data

    monkeypatch.setattr(time, "time", lambda: now_s)
    monkeypatch.setattr(io, "FileIO", Slow)
    assert await again.tags() == ["v1"]
    assert await again.tags() == ["v2"]


async def test_edits_keep_what_others_added_meanwhile(layout: Layout) -> None:
    image = await push_image(layout)
    for number in range(5):
        await layout.tag(image.descriptor, f"ours{number}")
        list_also(layout, image.descriptor, **{REF_NAME: f"theirs{number}"})
    assert await layout.tags() == [f"{who}{n}" for who in ("ours", "theirs") for n in range(5)]
    again = await Layout.open(layout.path)
    assert await again.entries() == await layout.entries()


async def test_an_edit_that_makes_it_too_large_is_refused(layout: Layout) -> None:
    image = await push_image(layout)
    list_also(layout, image.descriptor, text="x" * ((20 << 20) - 600))
    before = index(layout).read_bytes()
    with pytest.raises(LimitExceededError):
        await layout.tag(image.descriptor, "v1" * 300)
    assert index(layout).read_bytes() == before
    await layout.tag(image.descriptor, "v1")
    await layout.untag("v1")


async def test_what_is_found_is_listed_by_that_very_name(layout: Layout) -> None:
    child, lone = await push_image(layout, "child"), await push_image(layout, "lone")
    nested = index_of(child)
    outer = index_of(nested)
    for one in (nested, outer):
        await push(layout, one)
    await layout.tag(outer.descriptor, "v1")
    await layout.tag(lone.descriptor, "ghcr.io/org/pkg:v2")
    found: dict[str, Manifest | Index] = {
        "v1": outer,
        "ghcr.io/org/pkg:v2": lone,
        **{document.digest: document for document in (child, lone, nested, outer)},
    }
    for name, document in found.items():
        assert await layout.find_listed(name) == document.descriptor
    # What `resolve` takes in kindness: another form of the name, content that is not listed.
    unlisted = manifest(EMPTY)
    (layout.path / blob_path(unlisted.digest)).write_bytes(unlisted.raw)
    for name in ("v2", unlisted.digest):
        assert (await layout.resolve(name)).is_document
        assert await layout.find_listed(name) is None
    for nothing in ("v3", EMPTY.digest, child.layers[0].digest):
        assert await layout.find_listed(nothing) is None
    # The children of what is gone are gone with it.
    await layout.delete(outer.descriptor)
    assert await layout.find_listed(child.digest) is None
    await push(layout, nested)
    assert await layout.find_listed(child.digest) == child.descriptor


async def test_i06_a_name_of_several_documents_is_found_to_be_so(layout: Layout) -> None:
    images = [await push_image(layout, text) for text in ("a", "b")]
    for image in images:
        list_also(layout, image.descriptor, **{REF_NAME: "v1"})
    with pytest.raises(InvalidLayoutError):
        await layout.find_listed("v1")
    list_also(layout, images[0].descriptor, **{CONTAINERD_IMAGE_NAME: "docker.io/x:v1"})
    assert await layout.find_listed("docker.io/x:v1") == images[0].descriptor


async def test_what_comes_below_a_listed_index_is_seen(layout: Layout) -> None:
    """The index.json does not change when what it lists was missing and comes."""
    image = await push_image(layout)
    nested = index_of(image)
    outer = index_of(nested)
    list_also(layout, outer.descriptor)
    assert await layout.find_listed(nested.digest) is None
    for document in (outer, nested):
        (layout.path / blob_path(document.digest)).write_bytes(document.raw)
        assert await layout.find_listed(nested.digest) == nested.descriptor
    assert await layout.find_listed(image.digest) == image.descriptor


async def test_many_names(layout: Layout) -> None:
    """Time that grows with the square of the number would not pass."""
    image = await push_image(layout)
    tree: dict[str, Any] = json.loads(index(layout).read_text())
    (entry,) = tree["manifests"]
    names = sorted(f"v{number}" for number in range(15_000))
    tree["manifests"] = [{**entry, "annotations": {REF_NAME: name}} for name in names]
    index(layout).write_text(json.dumps(tree))
    assert await layout.tags() == names
    assert await layout.find_listed(names[-1]) == image.descriptor
    await layout.untag(names[0])
    assert await layout.tags() == names[1:]


async def test_a_damaged_document_is_healed_by_a_push(layout: Layout) -> None:
    image = await push_image(layout)
    path = layout.path / blob_path(image.digest)
    for damaged in (b"", b"x" * image.size, b"longer than it should be" * 100):
        path.write_bytes(damaged)
        await push(layout, image)
        assert await fetch_bytes(layout, image.descriptor) == image.raw
    assert await layout.verify() == []


async def test_several_names_at_once(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.put(image, "a", "b", "c")
    assert await layout.tags() == ["a", "b", "c"]


async def test_c36_deleted_index_leaves_what_it_is_told_to_keep(layout: Layout) -> None:
    children = [await push_image(layout, text) for text in ("a", "b")]
    whole = index_of(*children)
    await push(layout, whole)
    (layout.path / blob_path(children[1].digest)).unlink()
    await layout.delete(whole.descriptor, keep=[child.descriptor for child in children])
    # What is not there cannot be listed.
    assert [entry.digest for entry in await layout.entries()] == [children[0].digest]
