"""Manifests: what a registry says of them, and whether it is believed."""

import gzip
import hashlib
import json
from collections.abc import Callable

import pytest
from aiohttp import web

from ocipkg_async.content import BytesSource, fetch_document, select_manifest
from ocipkg_async.errors import (
    DeniedError,
    DigestMismatchError,
    InvalidDocumentError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    ProtocolError,
    RateLimitedError,
    RegistryError,
    TooLongError,
    TooShortError,
    UnsupportedError,
)
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Index, Manifest, Platform, media_types
from ocipkg_async.spec.decoding import encode_json
from registries import RunningRegistry
from registry.driving import ARTIFACT, opened, push_artifact, read, said, scripted, watched
from transport.servers import Answer, Seen, serve, text

MANIFEST = media_types.OCI_MANIFEST
DOCUMENT = Manifest.build(config=EMPTY, layers=(EMPTY,), artifact_type=ARTIFACT)
OTHER = Manifest.build(config=EMPTY, layers=(), artifact_type=ARTIFACT)


def manifest_answer(
    raw: bytes = DOCUMENT.raw, *, kind: str = MANIFEST, digest: str | None = DOCUMENT.digest
) -> web.Response:
    headers = {"Content-Type": kind}
    if digest is not None:
        headers["Docker-Content-Digest"] = digest
    return web.Response(body=raw, headers=headers)


async def test_d43_a_manifest_comes_back_byte_for_byte(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as repository:
        document = await push_artifact(repository)
        assert await repository.exists(document.descriptor)
        assert await read(repository, document.descriptor) == document.raw
        await repository.tag(document.descriptor, "v1")
        assert await repository.resolve("v1") == document.descriptor
        assert await repository.resolve(document.digest) == document.descriptor
        spaced = json.dumps(json.loads(document.raw), indent=9).encode()
        again = Descriptor.of(spaced, MANIFEST)
        await repository.push_tagged(again, BytesSource(spaced), "spaced")
        assert await read(repository, await repository.resolve("spaced")) == spaced
        assert await repository.resolve("v1") == document.descriptor


async def test_what_is_not_there_is_not_found_and_says_what_to_do(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as repository:
        for name in ("v1", DOCUMENT.digest):
            with pytest.raises(NotFoundError, match="there is no") as caught:
                await repository.resolve(name)
            assert caught.value.hint
        assert not await repository.exists(DOCUMENT.descriptor)
        with pytest.raises(NotFoundError):
            await read(repository, DOCUMENT.descriptor)
        await push_artifact(repository)
        with pytest.raises(
            NotFoundError, match=f"there is no {registry.host}/{repository_name}:v1"
        ):
            await repository.resolve("v1")
        with pytest.raises(NotFoundError):
            await repository.tag(DOCUMENT.descriptor, "v1")


@pytest.mark.parametrize("name", ["", "../../etc", "a b", "-v", "v" * 129, "sha256:12", "a:b:c"])
async def test_s04_a_name_that_is_none_asks_no_registry(name: str) -> None:
    async with serve(said(200)) as server, opened(server.host) as repository:
        with pytest.raises(ValueError, match=r".") as caught:
            await repository.resolve(name)
        assert isinstance(caught.value, OCIError)
        with pytest.raises(InvalidReferenceError):
            await repository.tag(DOCUMENT.descriptor, name)
        with pytest.raises(InvalidReferenceError):
            await repository.untag(name)
    assert server.seen == []


async def test_d40_every_document_type_is_asked_for_in_one_header() -> None:
    async with serve(lambda _seen: manifest_answer()) as server, opened(server.host) as repository:
        await repository.resolve("v1")
        await read(repository, DOCUMENT.descriptor)
    for seen in server.seen:
        (accept,) = seen.headers.getall("Accept")
        for kind in (*media_types.MANIFESTS, *media_types.INDEXES, "*/*"):
            assert kind in accept


async def test_d44_a_head_is_enough() -> None:
    async with serve(lambda _seen: manifest_answer()) as server, opened(server.host) as repository:
        assert await repository.resolve("v1") == DOCUMENT.descriptor
    assert [seen.method for seen in server.seen] == ["HEAD"]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(lambda: manifest_answer(digest=None), id="no digest"),
        pytest.param(lambda: manifest_answer(kind="application/json"), id="no type"),
        pytest.param(lambda: manifest_answer(digest="blake3:abcdef"), id="unknown algorithm"),
        pytest.param(lambda: text(status=405), id="405"),
        pytest.param(lambda: text(status=403), id="403"),
        pytest.param(lambda: text(status=400), id="400"),
    ],
)
@pytest.mark.parametrize("name", ["v1", DOCUMENT.digest])
async def test_d44_a_head_that_says_too_little_is_followed_by_a_get(
    head: Callable[[], Answer], name: str
) -> None:
    steps = scripted(HEAD=lambda _seen: head(), GET=lambda _seen: manifest_answer(digest=None))
    async with serve(steps) as server, opened(server.host) as repository:
        assert await repository.resolve(name) == DOCUMENT.descriptor


async def test_a_refusal_shows_what_get_says_of_it() -> None:
    errors = json.dumps({"errors": [{"code": "DENIED", "message": "not for you"}]})
    steps = scripted(HEAD=said(403), GET=said(403, errors))
    async with serve(steps) as server, opened(server.host) as repository:
        with pytest.raises(DeniedError, match="not for you"):
            await repository.resolve("v1")


async def test_d45_a_digest_of_another_algorithm_is_kept_and_verified() -> None:
    digest = Digest("sha512:" + hashlib.sha512(DOCUMENT.raw).hexdigest())
    async with (
        serve(lambda _seen: manifest_answer(digest=digest)) as server,
        opened(server.host) as repository,
    ):
        found = await repository.resolve("v1")
        assert found.digest == digest
        assert await read(repository, found) == DOCUMENT.raw
        # Asked for by sha256, the header says nothing of it (D-09).
        assert await repository.resolve(DOCUMENT.digest) == DOCUMENT.descriptor


@pytest.mark.parametrize("digest", [OTHER.digest, "sha256:xyz", "sha256:" + "A" * 64])
async def test_d09_another_digest_in_the_header_is_a_mismatch(digest: str) -> None:
    async with (
        serve(lambda _seen: manifest_answer(digest=digest)) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(DigestMismatchError, match="instead of"):
            await repository.resolve(DOCUMENT.digest)
        with pytest.raises(DigestMismatchError, match="instead of"):
            await read(repository, DOCUMENT.descriptor)


@pytest.mark.parametrize("digest", ["", "none", "sha256:xyz", "sha256:" + "a" * 63, "x" * 4000])
async def test_d09_a_header_that_is_no_digest_names_nothing(digest: str) -> None:
    """By tag there is nothing else to compare with; an empty one is as good as none."""
    answer = manifest_answer
    async with (
        serve(lambda _seen: answer(digest=digest)) as server,
        opened(server.host) as repository,
    ):
        if not digest:
            assert await repository.resolve("v1") == DOCUMENT.descriptor
            return
        with pytest.raises(ProtocolError, match="digest header"):
            await repository.resolve("v1")


async def test_d10_the_bytes_decide_whatever_the_header_says() -> None:
    """Bytes of another manifest under the right header."""
    steps = scripted(
        HEAD=lambda _seen: manifest_answer(), GET=lambda _seen: manifest_answer(OTHER.raw)
    )
    async with serve(steps) as server, opened(server.host) as repository:
        found = await repository.resolve("v1")
        with pytest.raises(TooShortError):
            await read(repository, found)
        wrong = DOCUMENT.raw.replace(b"test", b"TEST")
        steps_wrong = scripted(HEAD=said(405), GET=lambda _seen: manifest_answer(wrong))
        async with serve(steps_wrong) as second, opened(second.host) as other:
            with pytest.raises(DigestMismatchError):
                await read(other, DOCUMENT.descriptor)
            for name in ("v1", DOCUMENT.digest):
                with pytest.raises(DigestMismatchError):
                    await other.resolve(name)


async def test_a_longer_manifest_is_too_long() -> None:
    for raw in (DOCUMENT.raw + b"\n", DOCUMENT.raw + b" " * 100_000):
        async with (
            serve(lambda _seen, raw=raw: manifest_answer(raw)) as server,  # type: ignore[misc]
            opened(server.host) as repository,
        ):
            with pytest.raises(TooLongError):
                await read(repository, DOCUMENT.descriptor)


async def test_d46_no_more_than_the_limit_is_read() -> None:
    endless = b"[" + b" " * 200_000 + b"]"

    def answer(seen: Seen) -> Answer:
        return text(status=405) if seen.method == "HEAD" else manifest_answer(endless, digest=None)

    async with serve(answer) as server, opened(server.host, max_manifest_bytes=100_000) as store:
        with pytest.raises(ProtocolError, match="larger than 100000"):
            await store.resolve("v1")
        with pytest.raises(ProtocolError, match="larger than 100000"):
            await read(store, DOCUMENT.descriptor)
        huge = Descriptor.of(endless, MANIFEST)
        asked = len(server.seen)
        with pytest.raises(LimitExceededError, match="the limit is 100000"):
            await read(store, huge)
        with pytest.raises(LimitExceededError):
            await store.push(huge, BytesSource(endless))
        assert len(server.seen) == asked


async def test_s02_the_default_limit_is_four_mebibytes() -> None:
    size = (4 << 20) + 1
    head = {"Docker-Content-Digest": DOCUMENT.digest, "Content-Type": MANIFEST}

    def answer(seen: Seen) -> Answer:
        return web.Response(body=b" " * size, headers=head)

    async with serve(answer) as server, opened(server.host) as repository:
        found = await repository.resolve("v1")
        assert found.size == size
        with pytest.raises(LimitExceededError):
            await fetch_document(repository, found)
    assert [seen.method for seen in server.seen] == ["HEAD"]


@pytest.mark.parametrize("kind", ["text/html", "application/json", MANIFEST])
async def test_a_page_for_people_is_no_manifest(kind: str) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    async with (
        serve(lambda _seen: manifest_answer(page, kind=kind, digest=None)) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(InvalidDocumentError):
            await repository.resolve("v1")


async def test_d41_two_types_for_one_document_are_refused() -> None:
    """The registry calls an index a manifest, or the other way round."""
    index = Index.build(manifests=(DOCUMENT.descriptor,))
    pairs = ((DOCUMENT, media_types.OCI_INDEX), (index, MANIFEST))
    for document, kind in pairs:

        def answer(seen: Seen, document: Manifest | Index = document, kind: str = kind) -> Answer:
            if seen.method == "HEAD":
                return text(status=405)
            return manifest_answer(document.raw, kind=kind, digest=None)

        async with serve(answer) as server, opened(server.host) as repository:
            with pytest.raises(InvalidDocumentError, match="but it came as"):
                await repository.resolve("v1")
            # By digest the bytes are the right ones, and the descriptor that was asked for counts.
            lied = Descriptor(media_type=kind, digest=document.digest, size=document.size)
            with pytest.raises(InvalidDocumentError):
                await fetch_document(repository, lied)


async def test_s08_a_document_that_can_be_read_as_two_things_is_refused() -> None:
    both = encode_json(
        {
            "schemaVersion": 2,
            "manifests": [],
            "layers": [],
            "config": {"mediaType": "a/b", "digest": EMPTY.digest, "size": 2},
        }
    )
    for kind in (MANIFEST, media_types.OCI_INDEX):
        async with (
            serve(lambda _seen, kind=kind: manifest_answer(both, kind=kind, digest=None)) as server,  # type: ignore[misc]
            opened(server.host) as repository,
        ):
            with pytest.raises(InvalidDocumentError, match="two different things"):
                await repository.resolve("v1")


async def test_docker_schema_1_is_unsupported() -> None:
    raw = b'{"schemaVersion":1,"name":"a","fsLayers":[],"history":[]}'
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    async with (
        serve(lambda _seen: manifest_answer(raw, kind=kind, digest=None)) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(UnsupportedError, match="schema 1"):
            await repository.resolve("v1")


async def test_an_index_where_a_manifest_was_expected_is_chosen_from() -> None:
    async with watched() as server, opened(server.host) as repository:
        document = await push_artifact(repository)
        entry = Descriptor(
            media_type=document.media_type,
            digest=document.digest,
            size=document.size,
            platform=Platform(os="linux", architecture="arm64"),
        )
        index = Index.build(manifests=(entry,))
        await repository.push_tagged(index.descriptor, BytesSource(index.raw), "v1")
        found = await repository.resolve("v1")
        assert found.media_type == media_types.OCI_INDEX
        chosen = await select_manifest(repository, found, platform=entry.platform)
        assert chosen == document
        with pytest.raises(NotFoundError, match="no manifest for"):
            await select_manifest(
                repository, found, platform=Platform(os="windows", architecture="amd64")
            )


async def test_a_compressed_answer_is_not_undone() -> None:
    """What is hashed is what was sent; nobody asked for gzip."""
    packed = gzip.compress(DOCUMENT.raw)
    head = {"Content-Type": MANIFEST, "Content-Encoding": "gzip"}

    async with (
        serve(lambda _seen: web.Response(body=packed, headers=head)) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(OCIError):
            await read(repository, DOCUMENT.descriptor)


async def test_a_rate_limit_is_waited_out_and_then_told() -> None:
    steps = scripted(
        HEAD=[said(429, Retry_After="0"), lambda _seen: manifest_answer()],
    )
    async with serve(steps) as server, opened(server.host) as repository:
        assert await repository.resolve("v1") == DOCUMENT.descriptor
    async with serve(scripted(HEAD=said(429))) as server, opened(server.host) as repository:
        with pytest.raises(RateLimitedError) as caught:
            await repository.resolve("v1")
        assert caught.value.hint
    assert len(server.seen) == 3


async def test_d75_the_type_is_that_of_the_document_and_the_bytes_are_unchanged() -> None:
    async with serve(scripted(PUT=said(201))) as server, opened(server.host) as repository:
        await repository.push_tagged(DOCUMENT.descriptor, BytesSource(DOCUMENT.raw), "v1")
        await repository.push(DOCUMENT.descriptor, BytesSource(DOCUMENT.raw))
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["v1", DOCUMENT.digest]
    for seen in server.seen:
        assert seen.headers["Content-Type"] == MANIFEST
        assert seen.body == DOCUMENT.raw


async def test_d76_blobs_come_first(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        with pytest.raises(RegistryError) as caught:
            await repository.push(DOCUMENT.descriptor, BytesSource(DOCUMENT.raw))
        assert {detail.code for detail in caught.value.details} <= {
            "MANIFEST_BLOB_UNKNOWN",
            "BLOB_UNKNOWN",
            "MANIFEST_INVALID",
        }
        assert caught.value.hint


async def test_d77_a_registry_that_stored_something_else_is_found_out() -> None:
    lying = scripted(PUT=said(201, Docker_Content_Digest=OTHER.digest))
    async with serve(lying) as server, opened(server.host) as repository:
        for name in (DOCUMENT.digest, "v1"):
            with pytest.raises(DigestMismatchError, match="stored"):
                await repository.push_tagged(DOCUMENT.descriptor, BytesSource(DOCUMENT.raw), name)


async def test_d78_too_large_says_how_large() -> None:
    async with serve(scripted(PUT=said(413))) as server, opened(server.host) as repository:
        with pytest.raises(LimitExceededError, match=str(DOCUMENT.size)):
            await repository.push(DOCUMENT.descriptor, BytesSource(DOCUMENT.raw))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(DOCUMENT.raw + b"\n", id="longer"),
        pytest.param(DOCUMENT.raw.replace(b"test", b"TEST"), id="other bytes"),
    ],
)
async def test_d81_wrong_bytes_are_not_sent(raw: bytes) -> None:
    async with serve(scripted(PUT=said(201))) as server, opened(server.host) as repository:
        with pytest.raises((DigestMismatchError, TooLongError)):
            await repository.push(DOCUMENT.descriptor, BytesSource(raw))
    assert server.seen == []


async def test_what_is_no_manifest_is_not_sent() -> None:
    raw = b'{"schemaVersion":2}'
    async with serve(scripted(PUT=said(201))) as server, opened(server.host) as repository:
        with pytest.raises(InvalidDocumentError):
            await repository.push_tagged(Descriptor.of(raw, MANIFEST), BytesSource(raw), "v1")
    assert server.seen == []


async def test_manifests_are_pushed_again_after_what_may_pass() -> None:
    async with watched() as server, opened(server.host) as repository:
        document = await push_artifact(repository)
        server.faults.refuse_next, server.faults.refuse_status = 2, 503
        await repository.push_tagged(document.descriptor, BytesSource(document.raw), "v1")
        assert await repository.resolve("v1") == document.descriptor
