"""Referrers: the API, and the fallback tag that Debian's registry needs for real."""

import hashlib
import json

import anyio
import pytest
from aiohttp import web

from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    InvalidDocumentError,
    NotFoundError,
    ProtocolError,
    RegistryError,
    UnsupportedError,
)
from ocipkg_async.registry import Repository
from ocipkg_async.registry.referrers import fallback_tag
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY, Descriptor, Digest, Index, Manifest, media_types
from registries import RunningRegistry
from registry.driving import ARTIFACT, opened, push_artifact, said, scripted, watched
from server.lines import until
from transport.servers import Answer, Seen, serve

SUBJECT = Manifest.build(
    config=EMPTY, layers=(EMPTY,), artifact_type="application/vnd.test.subject"
)


async def push_subject(repository: Repository, text: str = "subject") -> Manifest:
    return await push_artifact(repository, text, kind="application/vnd.test.subject")


def index_answer(*entries: Descriptor, **headers: str) -> Answer:
    index = Index.build(manifests=entries)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(body=index.raw, headers={"Content-Type": index.media_type, **named})


@pytest.mark.parametrize(
    ("digest", "tag"),
    [
        ("sha256:" + "a" * 64, "sha256-" + "a" * 64),
        ("sha512:" + "ab" * 64, "sha512-" + "ab" * 32),
        ("multi+base64.x_y:AZ=-_", "multi-base64.x_y-AZ--_"),
        ("a" * 40 + ":" + "b" * 70, "a" * 32 + "-" + "b" * 64),
    ],
)
def test_d90_the_fallback_tag_is_always_a_tag(digest: str, tag: str) -> None:
    assert fallback_tag(Digest(digest)) == tag
    assert len(tag) <= 128


async def test_referrers_are_listed_and_filtered(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        assert await repository.referrers(subject.digest) == []
        one = await push_artifact(repository, "one", subject=subject.descriptor)
        two = await push_artifact(
            repository, "two", subject=subject.descriptor, kind="application/vnd.test.other"
        )
        found = {entry.digest: entry for entry in await repository.referrers(subject.digest)}
        assert found == {one.digest: one.referrer_descriptor, two.digest: two.referrer_descriptor}
        assert found[one.digest].annotations == {"text": "one"}
        assert await repository.referrers(subject.digest, artifact_type=ARTIFACT) == [
            one.referrer_descriptor
        ]
        assert await repository.referrers(one.digest) == []


async def test_an_index_refers_too(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        child = await push_artifact(repository, "child")
        index = Index.build(
            manifests=(child.descriptor,), artifact_type=ARTIFACT, subject=subject.descriptor
        )
        await repository.push_tagged(index.descriptor, BytesSource(index.raw), "v1")
        assert await repository.referrers(subject.digest) == [index.referrer_descriptor]


async def test_a_subject_may_come_later(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        missing = Descriptor(
            media_type=media_types.OCI_MANIFEST, digest=Digest("sha256:" + "1" * 64), size=5
        )
        one = await push_artifact(repository, subject=missing)
        assert await repository.referrers(missing.digest) == [one.referrer_descriptor]


async def test_twenty_attached_at_once_are_all_listed(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(_attach, repository, subject, str(number))
        found = await repository.referrers(subject.digest)
        texts = {(entry.annotations or {})["text"] for entry in found}
        assert texts == {str(number) for number in range(20)}
        assert len(found) == 20


async def _attach(repository: Repository, subject: Manifest, text: str) -> None:
    await push_artifact(repository, text, subject=subject.descriptor)


async def test_attaching_twice_lists_once(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        for _ in range(2):
            await push_artifact(repository, subject=subject.descriptor)
        assert len(await repository.referrers(subject.digest)) == 1


async def test_deleting_empties_the_list(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        attached = [
            await push_artifact(repository, text, subject=subject.descriptor) for text in "ab"
        ]
        await repository.delete(attached[0].descriptor)
        assert await repository.referrers(subject.digest) == [attached[1].referrer_descriptor]
        await repository.delete(attached[1].descriptor)
        assert await repository.referrers(subject.digest) == []
        assert await repository.exists(subject.descriptor)
        with pytest.raises(NotFoundError):
            await repository.delete(attached[1].descriptor)


async def test_d93_the_tag_of_an_empty_list_is_removed_where_that_is_possible() -> None:
    async with EmbeddedRegistry(referrers=False) as server, opened(server.host) as repository:
        subject = await push_subject(repository)
        one = await push_artifact(repository, subject=subject.descriptor)
        assert await repository.tags() == [fallback_tag(subject.digest)]
        await repository.delete(one.descriptor)
        assert await repository.tags() == []
        assert await repository.referrers(subject.digest) == []


async def test_d93_else_the_list_is_replaced_by_an_empty_one(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(plain_registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        one = await push_artifact(repository, subject=subject.descriptor)
        await repository.delete(one.descriptor)
        tag = fallback_tag(subject.digest)
        assert await repository.tags() == [tag]
        assert (await repository.resolve(tag)).digest == Index.build(manifests=()).digest


async def test_d98_a_manifest_that_cannot_be_deleted_stays_listed() -> None:
    async with (
        EmbeddedRegistry(referrers=False, delete=False) as server,
        opened(server.host) as repository,
    ):
        subject = await push_subject(repository)
        one = await push_artifact(repository, subject=subject.descriptor)
        with pytest.raises(UnsupportedError, match="cannot remove"):
            await repository.delete(one.descriptor)
        assert await repository.referrers(subject.digest) == [one.referrer_descriptor]


async def test_d91_somebody_elses_manifest_under_the_tag_is_left_alone(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(plain_registry.host, repository_name) as repository:
        subject = await push_subject(repository)
        foreign = await push_artifact(repository, "foreign")
        tag = fallback_tag(subject.digest)
        await repository.tag(foreign.descriptor, tag)
        with pytest.raises(InvalidDocumentError, match="not an index"):
            await push_artifact(repository, subject=subject.descriptor)
        with pytest.raises(InvalidDocumentError, match="not an index") as caught:
            await repository.referrers(subject.digest)
        assert caught.value.hint
        assert await repository.resolve(tag) == foreign.descriptor


async def test_d90_a_sha512_subject_has_a_tag_that_is_cut(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    subject = Descriptor(media_type=media_types.OCI_MANIFEST, digest=digest, size=1)
    async with opened(plain_registry.host, repository_name) as repository:
        one = await push_artifact(repository, subject=subject)
        assert await repository.tags() == ["sha512-" + digest.encoded[:64]]
        assert await repository.referrers(digest) == [one.referrer_descriptor]


async def test_d94_no_tag_where_the_registry_lists_them_itself() -> None:
    """Whether it says so in its answer, or only has the API."""
    for faults in ({}, {"no_subject_header": True}):
        async with watched(**faults) as server, opened(server.host) as repository:
            subject = await push_subject(repository)
            one = await push_artifact(repository, subject=subject.descriptor)
            two = await push_artifact(repository, "two", subject=subject.descriptor)
            assert len(await repository.referrers(subject.digest)) == 2
            await repository.delete(one.descriptor)
            assert await repository.referrers(subject.digest) == [two.referrer_descriptor]
            assert await repository.tags() == []


async def test_d83_a_missing_api_is_remembered() -> None:
    async with watched(no_referrers=True) as server, opened(server.host) as repository:
        subject = await push_subject(repository)
        for text in "abc":
            await push_artifact(repository, text, subject=subject.descriptor)
        assert len(await repository.referrers(subject.digest)) == 3
        assert server.count("GET", "/referrers/") == 1


async def test_d83_a_missing_repository_says_nothing_of_the_api() -> None:
    unknown = json.dumps({"errors": [{"code": "NAME_UNKNOWN"}]})
    entry = SUBJECT.referrer_descriptor
    asked: list[str] = []

    def answer(seen: Seen) -> Answer:
        asked.append(seen.path)
        if "/referrers/" in seen.path and len(asked) > 2:
            return index_answer(entry)
        return web.Response(status=404, text=unknown)

    async with serve(answer) as server, opened(server.host) as repository:
        assert await repository.referrers(SUBJECT.digest) == []
        assert await repository.referrers(SUBJECT.digest) == [entry]


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_d83_other_ways_to_have_no_api(status: int) -> None:
    steps = scripted(GET=[said(status), said(404)])
    async with serve(steps) as server, opened(server.host) as repository:
        assert await repository.referrers(SUBJECT.digest) == []
        assert await repository.referrers(SUBJECT.digest) == []
    assert sum("/referrers/" in seen.path for seen in server.seen) == 1


async def test_d82_a_page_for_people_is_not_the_api() -> None:
    def answer(seen: Seen) -> Answer:
        if "/referrers/" in seen.path:
            return web.Response(text="<html>", content_type="text/html")
        return index_answer(SUBJECT.referrer_descriptor)

    async with serve(answer) as server, opened(server.host) as repository:
        assert await repository.referrers(SUBJECT.digest) == [SUBJECT.referrer_descriptor]


async def test_an_error_that_may_pass_is_not_taken_for_a_missing_api() -> None:
    async with serve(said(500)) as server, opened(server.host) as repository:
        with pytest.raises(RegistryError):
            await repository.referrers(SUBJECT.digest)
    assert all("/referrers/" in seen.path for seen in server.seen)


async def test_d84_d85_pages_and_filters_of_the_registry() -> None:
    def entry(number: int, kind: str) -> Descriptor:
        return Descriptor(
            media_type=media_types.OCI_MANIFEST,
            digest=Digest(f"sha256:{number:064d}"),
            size=5,
            artifact_type=kind,
        )

    wanted, other = "application/vnd.a+json", "application/vnd.b"
    steps = scripted(
        GET=[
            lambda _seen: index_answer(
                entry(1, wanted), entry(2, other), Link='<?artifactType=x&last=2>; rel="next"'
            ),
            lambda _seen: index_answer(entry(1, wanted), entry(3, wanted)),
        ]
    )
    async with serve(steps) as server, opened(server.host) as repository:
        found = await repository.referrers(SUBJECT.digest, artifact_type=wanted)
    assert found == [entry(1, wanted), entry(3, wanted)]
    assert server.seen[0].path.endswith("?artifactType=application%2Fvnd.a%2Bjson")
    assert server.seen[1].path.endswith("?artifactType=x&last=2")


async def test_d87_a_foreign_link_is_not_followed() -> None:
    async with serve(said(200)) as foreign:

        def answer(_seen: Seen) -> Answer:
            return index_answer(Link=f'<{foreign.url}/x>; rel="next"')

        async with serve(answer) as server, opened(server.host) as repository:
            with pytest.raises(ProtocolError, match="another host"):
                await repository.referrers(SUBJECT.digest)
    assert foreign.seen == []


async def test_d96_an_entry_that_another_client_removed_is_written_again() -> None:
    """Another client, of its own process: it writes over the first of our writes."""
    async with watched(no_referrers=True) as server, opened(server.host) as repository:
        subject = await push_subject(repository)
        tag = fallback_tag(subject.digest)
        theirs = Index.build(manifests=((await push_artifact(repository, "theirs")).descriptor,))
        async with opened(server.host) as rival:
            wrote = anyio.Event()

            async def interfere() -> None:
                await wrote.wait()
                await until(lambda: any(r.method == "PUT" and r.status == 201 for r in server.log))
                await rival.push_tagged(theirs.descriptor, BytesSource(theirs.raw), tag)
                server.faults.delay_s = 0

            def when(method: str, path: str) -> bool:
                if method == "PUT" and path.endswith(tag) and not wrote.is_set():
                    # From here on our own requests are slower than theirs.
                    wrote.set()
                    server.log.clear()
                    server.faults.delay_s = 1
                    return False
                return not path.endswith(tag) or method == "GET"

            server.faults.when = when
            async with anyio.create_task_group() as group:
                group.start_soon(interfere)
                ours = await push_artifact(repository, "ours", subject=subject.descriptor)
        found = [entry.digest for entry in await repository.referrers(subject.digest)]
        assert found == [theirs.manifests[0].digest, ours.digest]


async def test_d96_an_entry_that_is_removed_each_time_is_given_up() -> None:
    """A registry that takes every write and keeps none."""
    one = Manifest.build(
        config=EMPTY, layers=(), artifact_type=ARTIFACT, subject=SUBJECT.descriptor
    )
    async with (
        serve(scripted(GET=said(404), PUT=said(201))) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(ProtocolError, match="changed by others") as caught:
            await repository.push(one.descriptor, BytesSource(one.raw))
    assert caught.value.hint
    assert sum(seen.method == "PUT" for seen in server.seen) == 6


async def test_a_list_read_by_tag_is_one_answer() -> None:
    """Between two requests another client may remove what the tag pointed to."""
    one = Manifest.build(
        config=EMPTY, layers=(), artifact_type=ARTIFACT, subject=SUBJECT.descriptor
    )
    listed = Index.build(manifests=(SUBJECT.referrer_descriptor,))
    written: list[bytes] = []

    def answer(seen: Seen) -> Answer:
        if seen.method == "PUT":
            written.append(seen.body)
            return web.Response(status=201)
        if seen.path.endswith(fallback_tag(SUBJECT.digest)):
            raw = written[-1] if len(written) > 1 else listed.raw
            headers = {"Content-Type": listed.media_type}
            return web.Response(body=raw, headers=headers)
        return web.Response(status=404)

    async with serve(answer) as server, opened(server.host) as repository:
        await repository.push(one.descriptor, BytesSource(one.raw))
    entries = json.loads(written[-1])["manifests"]
    assert [entry["digest"] for entry in entries] == [SUBJECT.digest, one.digest]
    assert "HEAD" not in {seen.method for seen in server.seen}
