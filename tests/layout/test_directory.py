"""An image-layout directory as a store."""

import asyncio
import contextlib
import errno
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import anyio
import pytest
from anyio import to_thread

from layout.samples import ARTIFACT, LAYER_TYPE, index_of, layer, manifest, push, push_image
from ocipkg_async.content import (
    BytesSource,
    ByteStream,
    Deleter,
    LocalFiles,
    ReferrersLister,
    Source,
    StreamPusher,
    StreamSource,
    TaggedPusher,
    TagLister,
    Untagger,
    fetch_bytes,
    walk,
)
from ocipkg_async.content.locks import file_lock
from ocipkg_async.errors import (
    DigestMismatchError,
    InvalidDigestError,
    InvalidDocumentError,
    InvalidLayoutError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    TooLongError,
    TooShortError,
    UnsupportedError,
)
from ocipkg_async.layout import Layout
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest
from ocipkg_async.spec.annotations import REF_NAME
from ocipkg_async.spec.image_layout import blob_path
from ocipkg_async.spec.media_types import OCTET_STREAM


@pytest.fixture
async def layout(tmp_path: Path) -> Layout:
    return await Layout.open(tmp_path / "layout", create=True, flush="none")


def names_in(layout: Layout) -> list[tuple[str | None, str]]:
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    return [((e.get("annotations") or {}).get(REF_NAME), e["digest"]) for e in entries]


def files_in(layout: Layout) -> set[str]:
    return {str(p.relative_to(layout.path)) for p in layout.path.rglob("*") if p.is_file()}


def age(layout: Layout) -> None:
    for path in layout.path.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))


async def test_it_has_every_power(layout: Layout) -> None:
    for power in (
        Deleter,
        LocalFiles,
        ReferrersLister,
        StreamPusher,
        TaggedPusher,
        TagLister,
        Untagger,
    ):
        assert isinstance(layout, power)


async def test_i01_a_new_layout_is_complete(layout: Layout) -> None:
    assert (layout.path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert json.loads((layout.path / "index.json").read_text())["manifests"] == []
    assert (layout.path / "blobs").is_dir()


async def test_i03_what_is_pushed_is_there(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    assert await layout.tags() == ["v1"]
    assert await layout.resolve("v1") == image.descriptor
    assert await layout.resolve(image.digest) == image.descriptor
    assert (await layout.only()).digest == image.digest
    assert [d.digest for d, _ in await walk(layout, image.descriptor)] == [
        EMPTY.digest,
        layer()[0].digest,
        image.digest,
    ]
    assert files_in(layout) >= {blob_path(image.digest), blob_path(EMPTY.digest)}
    again = await Layout.open(layout.path)
    assert await again.resolve("v1") == image.descriptor


async def test_a_digest_of_a_blob_resolves_too(layout: Layout) -> None:
    child = await push_image(layout)
    await push(layout, index_of(child))
    descriptor, data = layer()
    assert await layout.resolve(child.digest) == child.descriptor
    assert await layout.resolve(descriptor.digest) == Descriptor.of(data, OCTET_STREAM)
    with pytest.raises(NotFoundError):
        await layout.resolve("sha256:" + 64 * "0")
    with pytest.raises(NotFoundError):
        await layout.resolve("v1")


async def test_a_stream_of_unknown_digest(layout: Layout) -> None:
    data = os.urandom(100_000)
    pieces = iter([data[:70_000], data[70_000:], b""])
    descriptor = await layout.push_stream(LAYER_TYPE, StreamSource(lambda _: next(pieces)))
    assert descriptor == Descriptor.of(data, LAYER_TYPE)
    path = await to_thread.run_sync(layout.local_path, descriptor)
    assert path is not None
    assert path.read_bytes() == data


async def test_i02_foreign_entries_survive_our_edits(layout: Layout) -> None:
    foreign = {"mediaType": "x/y", "digest": "sha256+b64u:abc", "size": 1, "x": {"y": 1}}
    index = {"schemaVersion": 2, "manifests": [foreign], "annotations": {"k": "v"}, "z": 0}
    (layout.path / "index.json").write_text(json.dumps(index))
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    written = json.loads((layout.path / "index.json").read_text())
    assert foreign in written["manifests"]
    assert written["annotations"] == {"k": "v"}
    assert written["z"] == 0


async def test_i06_names_move_and_go(layout: Layout) -> None:
    one, two = await push_image(layout, "one"), await push_image(layout, "two")
    await layout.tag(one.descriptor, "v1")
    await layout.tag(two.descriptor, "v1")
    assert await layout.resolve("v1") == two.descriptor
    assert (None, one.digest) in names_in(layout)
    await layout.untag("v1")
    assert await layout.tags() == []
    assert await layout.exists(two.descriptor)
    with pytest.raises(NotFoundError):
        await layout.untag("v1")


async def test_tagging_in_one_step(layout: Layout) -> None:
    image = manifest()
    await layout.push_tagged(image.descriptor, BytesSource(image.raw), "ghcr.io/org/pkg:v1")
    assert names_in(layout) == [("ghcr.io/org/pkg:v1", image.digest)]
    assert await layout.resolve("v1") == image.descriptor


async def test_o11_a_bad_name_changes_nothing(layout: Layout) -> None:
    image = await push_image(layout)
    for name in ("a b", "", image.digest):
        with pytest.raises(InvalidReferenceError):
            await layout.tag(image.descriptor, name)
        with pytest.raises(InvalidReferenceError):
            await layout.push_tagged(image.descriptor, BytesSource(image.raw), name)
    assert await layout.tags() == []


async def test_a_tag_needs_its_document(layout: Layout) -> None:
    with pytest.raises(NotFoundError):
        await layout.tag(manifest().descriptor, "v1")


async def test_c36_children_of_an_index_are_reachable_but_not_listed(layout: Layout) -> None:
    child = await push_image(layout)
    index = index_of(child)
    await push(layout, index)
    assert names_in(layout) == [(None, index.digest)]
    assert await layout.exists(child.descriptor)


async def test_a_document_that_nothing_lists_does_not_exist(layout: Layout) -> None:
    """Otherwise a copy would skip it, and nobody would find it afterwards."""
    image = manifest()
    await layout.push(Descriptor.of(image.raw, OCTET_STREAM), BytesSource(image.raw))
    assert not await layout.exists(image.descriptor)
    await push(layout, image)
    assert await layout.exists(image.descriptor)


async def test_s01_wrong_content_leaves_nothing(layout: Layout) -> None:
    before = files_in(layout)
    good, data = layer("x" * 1000)
    for wrong, error in (
        (data[:-1], TooShortError),
        (data + b"x", TooLongError),
        (b"y" * 1000, DigestMismatchError),
    ):
        with pytest.raises(error):
            await layout.push(good, BytesSource(wrong))
    assert files_in(layout) == before
    assert not await layout.exists(good)


async def test_a_document_that_is_none_is_refused(layout: Layout) -> None:
    before = files_in(layout)
    raw = b'{"schemaVersion":2}'
    with pytest.raises(InvalidDocumentError):
        await layout.push(Descriptor.of(raw, manifest().media_type), BytesSource(raw))
    assert files_in(layout) == before


async def test_i08_a_blob_of_the_right_size_is_kept_another_replaced(layout: Layout) -> None:
    descriptor, data = layer()
    await layout.push(descriptor, BytesSource(data))
    path = layout.path / blob_path(descriptor.digest)
    path.write_bytes(data[:2])  # as a power cut may leave it
    assert not await layout.exists(descriptor)
    await layout.push(descriptor, BytesSource(data))
    assert path.read_bytes() == data
    await layout.push(descriptor, StreamSource(lambda _: pytest.fail("read in vain")))


async def test_s07_damage_is_found_when_reading(layout: Layout) -> None:
    descriptor, data = layer()
    await layout.push(descriptor, BytesSource(data))
    (layout.path / blob_path(descriptor.digest)).write_bytes(b"x" * len(data))
    with pytest.raises(DigestMismatchError):
        await fetch_bytes(layout, descriptor)
    with pytest.raises(NotFoundError):
        await fetch_bytes(layout, layer("other")[0])


async def test_i26_digest_text_is_parsed_before_it_is_a_path(layout: Layout) -> None:
    (layout.path.parent / "secret").write_bytes(b"x")
    text = "sha256:../../../secret"
    with pytest.raises(InvalidDigestError):
        await layout.resolve(text)
    unparsed = Descriptor(media_type="a/b", digest=text, size=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidDigestError):
        await layout.exists(unparsed)
    with pytest.raises(InvalidDigestError):
        await fetch_bytes(layout, unparsed)


async def test_i07_a_folder_with_content_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InvalidLayoutError):
        await Layout.open(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InvalidLayoutError):
        await Layout.open(tmp_path)
    with pytest.raises(InvalidLayoutError):
        await Layout.open(tmp_path / "mine.txt", create=True)


async def test_i07_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await Layout.open(tmp_path / "a" / "b")
    await Layout.open(tmp_path / "a" / "b", create=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidLayoutError):
        await Layout.open(tmp_path / "empty")
    await Layout.open(tmp_path / "empty", create=True)


async def test_an_interrupted_start_is_finished(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    with pytest.raises(InvalidLayoutError):
        await Layout.open(tmp_path)
    layout = await Layout.open(tmp_path, create=True)
    assert await layout.entries() == []


@pytest.mark.parametrize("text", ['{"imageLayoutVersion":"2.0.0"}', "{}", "x" * 100_000])
async def test_i01_another_version_is_refused(layout: Layout, text: str) -> None:
    (layout.path / "oci-layout").write_text(text)
    with pytest.raises((InvalidLayoutError, InvalidDocumentError)):
        await Layout.open(layout.path)


async def test_reading_only(layout: Layout) -> None:
    image = await push_image(layout)
    (layout.path / "oci-layout").unlink()  # as in an unpacked archive of ocipkg
    before = files_in(layout)
    reading = await Layout.open(layout.path, read_only=True)
    assert await reading.resolve(image.digest) == image.descriptor
    for change in (
        reading.tag(image.descriptor, "v1"),
        reading.untag("v1"),
        reading.delete(image.descriptor),
        reading.collect(),
        push_image(reading, "new"),
        reading.push_stream("a/b", BytesSource(b"x")),
        reading.adopt(image.digest, layout.path / "x"),
        reading.link_blob(image.digest, layout),
    ):
        with pytest.raises(UnsupportedError):
            await change
    assert files_in(layout) == before


async def test_i10_shared_blobs(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    one = await Layout.open(tmp_path / "one", create=True, blobs=shared)
    two = await Layout.open(tmp_path / "two", create=True, blobs=shared)
    image = await push_image(one)
    assert (shared / "sha256" / image.digest.encoded).is_file()
    await two.tag(image.descriptor, "v1")
    await one.delete(image.descriptor)
    assert (await walk(two, await two.resolve("v1")))[-1][0] == image.descriptor
    with pytest.raises(UnsupportedError):
        await one.collect()
    with pytest.raises(UnsupportedError):
        await one.delete(layer()[0])


async def test_i11_referrers_are_found_also_below_an_index(layout: Layout) -> None:
    subject = await push_image(layout)
    direct = manifest(layer("direct")[0], subject=subject.descriptor)
    child = manifest(layer("child")[0], subject=subject.descriptor)
    await push(layout, direct)
    await push(layout, child)
    await push(layout, index_of(child))
    found = await layout.referrers(subject.digest)
    assert {d.digest for d in found} == {direct.digest, child.digest}
    assert {d.artifact_type for d in found} == {ARTIFACT}
    assert await layout.referrers(subject.digest, artifact_type="a/b") == []
    assert len(await layout.referrers(subject.digest, artifact_type=ARTIFACT)) == 2
    await layout.delete(direct.descriptor)
    assert [d.digest for d in await layout.referrers(subject.digest)] == [child.digest]


async def test_deleting_a_document(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    await layout.tag(image.descriptor, "v2")
    await layout.delete(image.descriptor)
    assert names_in(layout) == []
    assert await layout.size_of(image.digest) is None
    with pytest.raises(NotFoundError):
        await layout.delete(image.descriptor)


async def test_deleting_keeps_what_another_document_lists(layout: Layout) -> None:
    child = await push_image(layout)
    await push(layout, index_of(child))
    await layout.tag(child.descriptor, "child")
    await layout.delete(child.descriptor)
    assert await layout.tags() == []
    assert await layout.exists(child.descriptor)
    await layout.delete(child.descriptor, force=True)
    assert not await layout.exists(child.descriptor)


async def test_deleting_a_blob(layout: Layout) -> None:
    descriptor, data = layer()
    await layout.push(descriptor, BytesSource(data))
    await layout.delete(descriptor)
    assert not await layout.exists(descriptor)


async def test_adopting_a_finished_file(layout: Layout) -> None:
    descriptor, data = layer()
    file = layout.path / ".tmp-upload"
    for _ in range(2):  # the second time it is there already
        file.write_bytes(data)
        await layout.adopt(descriptor.digest, file)
        assert not file.exists()
        assert await fetch_bytes(layout, descriptor) == data


async def test_linking_from_another_layout(layout: Layout, tmp_path: Path) -> None:
    other = await Layout.open(tmp_path / "other", create=True)
    descriptor, data = layer()
    assert not await layout.link_blob(descriptor.digest, other)
    await other.push(descriptor, BytesSource(data))
    for _ in range(2):
        assert await layout.link_blob(descriptor.digest, other)
    first = await to_thread.run_sync(layout.local_path, descriptor)
    second = await to_thread.run_sync(other.local_path, descriptor)
    assert first is not None
    assert second is not None
    assert first.samefile(second)
    await other.delete(descriptor)
    assert await fetch_bytes(layout, descriptor) == data


async def test_a_blob_that_another_task_links_first_is_not_copied(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor, data = layer()
    other = await Layout.open(tmp_path / "other", create=True)
    await other.push(descriptor, BytesSource(data))
    link = os.link

    def late(source: Path, path: Path, **options: bool) -> None:
        link(source, path)
        link(source, path, **options)

    monkeypatch.setattr(os, "link", late)
    assert await layout.link_blob(descriptor.digest, other)
    blob = blob_path(descriptor.digest)
    assert (layout.path / blob).samefile(other.path / blob)


async def test_i09_collect_keeps_all_that_is_needed(layout: Layout) -> None:
    subject = await push_image(layout, "subject")
    referrer = await push_image(layout, "referrer")
    child = await push_image(layout, "child")
    for document in (
        manifest(layer("referrer")[0], subject=subject.descriptor),
        index_of(index_of(child)),
    ):
        await push(layout, document)
    inner = index_of(child)
    await push(layout, inner)
    await layout.delete(referrer.descriptor)
    garbage, data = layer("garbage")
    await layout.push(garbage, BytesSource(data))
    (layout.path / "blobs" / "sha256" / "README").write_text("not ours")
    (layout.path / "blobs" / "sha256" / ".tmp-1-x").write_text("of a killed process")
    before = files_in(layout)
    age(layout)
    assert await layout.collect(dry_run=True) == [(garbage.digest, len(data))]
    assert files_in(layout) == before
    assert await layout.collect() == [(garbage.digest, len(data))]
    assert files_in(layout) == before - {blob_path(garbage.digest), "blobs/sha256/.tmp-1-x"}
    assert await layout.verify() == []


async def test_i09_collect_removes_unfinished_downloads_that_nobody_works_on(
    layout: Layout,
) -> None:
    await push_image(layout)
    folder, clean = layout.path / "blobs", files_in(layout)
    stems = [f".partial-sha256-{digit * 64}" for digit in "012"]

    def left() -> list[str]:
        found = {path.name for path in folder.glob(".partial-*")}
        return [stem for stem in stems if {stem, stem + ".journal", stem + ".lock"} <= found]

    for stem, age_s in zip(stems, (10, 5000, 100_000), strict=True):
        for end in ("", ".journal", ".lock"):
            (folder / (stem + end)).write_text("x")
            os.utime(folder / (stem + end), (time.time() - age_s,) * 2)
    assert await layout.verify() == []
    assert await layout.collect(dry_run=True) == []
    assert left() == stems
    assert await layout.collect(grace_s=0, partials_grace_s=50_000) == []
    assert left() == stems[:2]
    async with file_lock(folder / (stems[1] + ".lock")):
        assert await layout.collect() == []
        assert left() == stems[:2]
    assert await layout.collect() == []
    assert left() == stems[:1]
    assert await layout.collect(grace_s=0) == []
    assert files_in(layout) == clean


async def test_i09_collect_keeps_a_subject_that_only_its_referrer_names(layout: Layout) -> None:
    subject = await push_image(layout, "subject")
    await push(layout, manifest(layer("subject")[0], subject=subject.descriptor))
    index = json.loads((layout.path / "index.json").read_text())
    index["manifests"] = [e for e in index["manifests"] if e["digest"] != subject.digest]
    (layout.path / "index.json").write_text(json.dumps(index))
    assert await layout.collect(grace_s=0) == []


async def test_i09_young_blobs_and_found_ones_are_kept(layout: Layout) -> None:
    """A push that finds a blob instead of writing it is about to list it, too."""
    young, found = layer("young"), layer("found")
    await layout.push(found[0], BytesSource(found[1]))
    age(layout)
    assert await layout.exists(found[0])
    await layout.push(young[0], BytesSource(young[1]))
    assert await layout.collect() == []
    assert {d for d, _ in await layout.collect(grace_s=0)} == {young[0].digest, found[0].digest}


async def test_i09_collect_removes_nothing_while_a_document_is_damaged(layout: Layout) -> None:
    image = await push_image(layout)
    (layout.path / blob_path(image.digest)).write_bytes(b"x" * image.size)
    before = files_in(layout)
    with pytest.raises(DigestMismatchError):
        await (await Layout.open(layout.path)).collect(grace_s=0)
    assert files_in(layout) == before


async def test_verify_finds_what_is_wrong(layout: Layout) -> None:
    images = [await push_image(layout, text) for text in ("gone", "damaged", "short", "fine")]
    assert await layout.verify() == []
    gone, damaged = layer("gone")[0], layer("damaged")[0]
    (layout.path / blob_path(gone.digest)).unlink()
    (layout.path / blob_path(damaged.digest)).write_bytes(b"DAMAGED")
    (layout.path / blob_path(images[2].digest)).write_bytes(b"{}")
    assert {(p.digest, p.kind) for p in await layout.verify()} == {
        (gone.digest, "missing"),
        (damaged.digest, "damaged"),
        (images[2].digest, "damaged"),
    }


class _Stuck:
    """A source that gives some bytes and then nothing."""

    size: int | None = None
    reopenable = False

    def __init__(self) -> None:
        self.started = anyio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        yield self

    async def read(self, _max_bytes: int, /) -> bytes:
        if self.started.is_set():
            await anyio.sleep_forever()
        self.started.set()
        return b"x" * 10


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("native", [True, False], ids=["asyncio", "anyio"])
async def test_a_cancelled_push_leaves_nothing(layout: Layout, known: bool, native: bool) -> None:
    before = files_in(layout)
    source = _Stuck()
    assert isinstance(source, Source)

    async def push_it() -> None:
        if known:
            await layout.push(layer("x" * 100)[0], source)
        else:
            await layout.push_stream(LAYER_TYPE, source)

    if native:
        task = asyncio.get_running_loop().create_task(push_it())
        await source.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(push_it)
            await source.started.wait()
            group.cancel_scope.cancel()
    assert files_in(layout) == before


async def test_cancelling_at_any_moment_leaves_nothing_half_done(layout: Layout) -> None:
    """The task is cancelled after one turn of the loop, after two, and so on to its end."""
    image = manifest(layer("x" * 100_000)[0])

    async def work() -> None:
        await layout.push(layer("x" * 100_000)[0], BytesSource(b"x" * 100_000))
        await layout.push_tagged(image.descriptor, BytesSource(image.raw), "v1")

    for turns in range(1000):
        task = asyncio.get_running_loop().create_task(work())
        for _ in range(turns * turns):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not [name for name in files_in(layout) if ".tmp-" in name]
        assert [problem.kind for problem in await layout.verify()] in ([], ["missing"])
        if ended:
            break
    assert await layout.tags() == ["v1"]


async def test_tasks_that_push_at_once_lose_nothing(layout: Layout) -> None:
    async def one(number: int) -> None:
        image = await push_image(layout, f"{number % 4}")
        await layout.tag(image.descriptor, f"v{number}")

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert await layout.tags() == sorted(f"v{number}" for number in range(20))
    assert await layout.verify() == []
    assert not [name for name in files_in(layout) if ".tmp-" in name]


async def test_changes_of_others_are_seen(layout: Layout) -> None:
    image = await push_image(layout)
    other = await Layout.open(layout.path)
    for name in ("v1", "v2", "v3"):
        await other.tag(image.descriptor, name)
        assert await layout.resolve(name) == image.descriptor
    await other.untag("v3")
    assert await layout.tags() == ["v1", "v2"]


async def test_a_pipe_among_the_blobs_blocks_nobody(layout: Layout) -> None:
    descriptor, _ = layer()
    path = layout.path / blob_path(descriptor.digest)
    os.mkfifo(path)
    with pytest.raises(InvalidLayoutError):
        await fetch_bytes(layout, descriptor)


async def test_empty_content(layout: Layout) -> None:
    empty = Descriptor.of(b"", OCTET_STREAM)
    await layout.push(empty, BytesSource(b""))
    assert await layout.push_stream(OCTET_STREAM, BytesSource(b"")) == empty
    assert await fetch_bytes(layout, empty) == b""
    await layout.push(EMPTY, BytesSource(EMPTY_JSON))


async def test_no_hard_links_on_this_file_system(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", refuse)
    other = await Layout.open(tmp_path / "other", create=True)
    good, data = layer("good")
    bad, _ = layer("badd")
    await other.push(good, BytesSource(data))
    assert await layout.link_blob(good.digest, other)
    assert await fetch_bytes(layout, good) == data
    (other.path / blob_path(bad.digest)).write_bytes(b"evil")
    with pytest.raises(DigestMismatchError):
        await layout.link_blob(bad.digest, other)
    assert not await layout.exists(bad)


@pytest.mark.parametrize("flush", ["all", "index", "none"])
async def test_flushing_to_the_disk(tmp_path: Path, flush: Literal["all", "index", "none"]) -> None:
    layout = await Layout.open(tmp_path / "x", create=True, flush=flush)
    image = await push_image(layout)
    (tmp_path / "file").write_bytes(b"more")
    await layout.adopt(layer("more")[0].digest, tmp_path / "file")
    assert await fetch_bytes(layout, layer("more")[0]) == b"more"
    assert len(await walk(layout, image.descriptor)) == 3


async def test_sha512(layout: Layout) -> None:
    data = b"x" * 1000
    blob = Descriptor(media_type=OCTET_STREAM, digest=Digest.of(data, "sha512"), size=len(data))
    await layout.push(blob, BytesSource(data))
    assert await fetch_bytes(layout, blob) == data
    assert await layout.resolve(blob.digest) == blob
    assert await layout.verify() == []
    assert await layout.collect(grace_s=0) == [(blob.digest, len(data))]


async def test_a_damaged_index_does_not_stop_pushes(layout: Layout) -> None:
    index = index_of(await push_image(layout))
    await push(layout, index)
    (layout.path / blob_path(index.digest)).write_bytes(b"x" * index.size)
    again = await Layout.open(layout.path)
    image = await push_image(again, "new")
    assert await again.exists(image.descriptor)
    assert not await again.exists(manifest().descriptor)
    assert [p.kind for p in await again.verify()] == ["damaged"]


async def test_s02_a_document_is_not_too_large(layout: Layout) -> None:
    huge = Descriptor(media_type=manifest().media_type, digest=layer()[0].digest, size=9 << 20)
    with pytest.raises(LimitExceededError):
        await layout.push(huge, BytesSource(b""))


async def test_many_may_make_one_layout_at_once(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / str(number) / "layout"
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(lambda: Layout.open(folder, create=True))  # noqa: B023 - awaited here
        assert await (await Layout.open(folder)).entries() == []
