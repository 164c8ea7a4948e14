"""Lists that come in pages: tags and the catalog, also from registries that never end."""

import itertools
import json

import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    InvalidDocumentError,
    NotFoundError,
    ProtocolError,
    UnauthorizedError,
)
from ocipkg_async.registry import Repository, catalog, pages, ping
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.transport import Headers, Transport
from registries import RunningRegistry
from registry.driving import opened, push_artifact, said, scripted, watched
from transport.servers import Answer, Handler, Seen, quick, serve, text

URL = "https://reg.example/v2/org/pkg/tags/list?n=2"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("", None),
        (
            '</v2/org/pkg/tags/list?last=b>; rel="next"',
            "https://reg.example/v2/org/pkg/tags/list?last=b",
        ),
        ('<https://reg.example/x?a=%2F>; rel="next"', "https://reg.example/x?a=%2F"),
        ('<https://reg.example:443/x>; rel="next"', "https://reg.example:443/x"),
        ('<list?last=b>; rel="next"', "https://reg.example/v2/org/pkg/tags/list?last=b"),
        ('<?last=b>;rel="next"', "https://reg.example/v2/org/pkg/tags/list?last=b"),
        ("</x>; rel=next", "https://reg.example/x"),
        ("</x>; rel=next; title=more", "https://reg.example/x"),
        ('</x>; title="rel"; rel="next last"', "https://reg.example/x"),
        ('</x>; rel="first next"', "https://reg.example/x"),
        ('</x>; REL="NEXT"', "https://reg.example/x"),
        ('</a>; rel="prev", </x>; rel="next"', "https://reg.example/x"),
        ('</x,y>; rel="next"', "https://reg.example/x,y"),
        ('</a>; rel="prev"', None),
        ('</a>; rel="nextpage"', None),
        ("</a>", None),
        ('/a; rel="next"', None),
    ],
)
def test_d103_links_of_all_forms(link: str | None, expected: str | None) -> None:
    headers = Headers([("Link", link)] if link is not None else [])
    assert pages.next_page(URL, headers) == expected


def test_d103_several_link_headers() -> None:
    headers = Headers([("Link", '</a>; rel="prev"'), ("Link", '</x>; rel="next"')])
    assert pages.next_page(URL, headers) == "https://reg.example/x"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/x",
        "http://reg.example/x",
        "https://reg.example:8443/x",
        "//evil.example/x",
        "https://user@reg.example/x",
        "ftp://reg.example/x",
        "https://[/x",
        "https://reg.example:port/x",
        " ",
    ],
)
def test_s14_a_list_does_not_go_on_elsewhere(target: str) -> None:
    with pytest.raises(ProtocolError):
        pages.next_page(URL, Headers([("Link", f'<{target}>; rel="next"')]))


async def _tag_all(repository: Repository, names: list[str]) -> None:
    document = await push_artifact(repository)
    for name in names:
        await repository.push_tagged(document.descriptor, BytesSource(document.raw), name)


async def test_tags_come_sorted(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as repository:
        with pytest.raises(NotFoundError, match="no repository") as caught:
            await repository.tags()
        assert caught.value.hint
        await _tag_all(repository, ["v2", "V1", "v10", "latest"])
        assert await repository.tags() == ["V1", "latest", "v10", "v2"]


async def test_d102_all_pages_are_read() -> None:
    async with EmbeddedRegistry(page_entries=3) as server, opened(server.host) as repository:
        names = [f"v{number}" for number in range(8)]
        await _tag_all(repository, names)
        assert await repository.tags() == names


async def test_d102_without_a_link_the_list_is_complete() -> None:
    async with watched(no_link=True) as server, opened(server.host) as repository:
        await _tag_all(repository, ["a", "b"])
        server.log.clear()
        assert await repository.tags() == ["a", "b"]
    assert len(server.log) == 1


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('{"name":"a","tags":null}', []),
        ('{"name":"a"}', []),
        ("{}", []),
        ('{"tags":[]}', []),
        ('{"tags":["b","a","b"]}', ["a", "b"]),
    ],
)
async def test_d100_null_and_missing_are_empty(page: str, expected: list[str]) -> None:
    async with serve(said(200, page)) as server, opened(server.host) as repository:
        assert await repository.tags() == expected


@pytest.mark.parametrize(
    "page",
    [
        "",
        "[]",
        "null",
        '"a"',
        '{"tags":"a"}',
        '{"tags":[1]}',
        '{"tags":{"a":1}}',
        "<html>",
        "{" * 5000,
    ],
)
async def test_an_answer_that_is_no_list_is_refused(page: str) -> None:
    async with serve(said(200, page)) as server, opened(server.host) as repository:
        with pytest.raises(InvalidDocumentError):
            await repository.tags()


@pytest.mark.parametrize("target", ["", "?n=0", "?n=2&last=b"])
async def test_d103_a_list_that_leads_to_itself_is_stopped(target: str) -> None:
    link = f'</v2/test/repository/tags/list{target}>; rel="next"'
    async with (
        serve(said(200, '{"tags":["a","b"]}', Link=link)) as server,
        opened(server.host) as repository,
    ):
        with pytest.raises(ProtocolError, match="does not end"):
            await repository.tags()
    assert len(server.seen) <= 2


def _endless(page: Handler) -> Handler:
    numbers = itertools.count()

    def answer(seen: Seen) -> Answer:
        made = page(seen)
        assert isinstance(made, Answer)
        made.headers["Link"] = f'<?last={next(numbers)}>; rel="next"'
        return made

    return answer


async def test_d103_pages_that_bring_nothing_new_are_stopped() -> None:
    for page in ('{"tags":["a"]}', '{"tags":[]}'):
        async with serve(_endless(said(200, page))) as server, opened(server.host) as repository:
            with pytest.raises(ProtocolError, match="gets no further"):
                await repository.tags()
        assert len(server.seen) <= 101


async def test_a_few_empty_pages_are_no_end() -> None:
    steps = [
        *(said(200, '{"tags":[]}', Link=f'<?last={number}>; rel="next"') for number in range(20)),
        said(200, '{"tags":["a"]}'),
    ]
    async with serve(scripted(GET=steps)) as server, opened(server.host) as repository:
        assert await repository.tags() == ["a"]


async def test_s14_a_list_that_is_far_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_TOTAL_BYTES", 20_000)
    monkeypatch.setattr(pages, "MAX_PAGES", 30)
    numbers = itertools.count()

    def small(_seen: Seen) -> Answer:
        return text(json.dumps({"tags": [f"v{next(numbers)}"]}))

    def large(_seen: Seen) -> Answer:
        return text(json.dumps({"tags": [f"v{next(numbers)}" * 1000]}))

    for page, message in ((small, "does not end"), (large, "far too long")):
        async with serve(_endless(page)) as server, opened(server.host) as repository:
            with pytest.raises(ProtocolError, match=message):
                await repository.tags()
        assert len(server.seen) <= 31


async def test_a_page_larger_than_the_limit_is_not_read() -> None:
    page = '{"tags":["' + "a" * (pages.MAX_PAGE_BYTES) + '"]}'
    async with serve(said(200, page)) as server, opened(server.host) as repository:
        with pytest.raises(ProtocolError, match="larger than"):
            await repository.tags()


async def test_s14_a_foreign_link_is_not_followed() -> None:
    async with serve(said(200, '{"tags":["stolen"]}')) as foreign:
        link = f'<{foreign.url}/v2/x/tags/list>; rel="next"'
        async with (
            serve(said(200, '{"tags":["a"]}', Link=link)) as server,
            opened(server.host) as repository,
        ):
            with pytest.raises(ProtocolError, match="another host"):
                await repository.tags()
    assert foreign.seen == []


async def test_the_catalog_lists_repositories() -> None:
    async with EmbeddedRegistry(page_entries=2) as server:
        for name in ("c", "a/b", "a"):
            async with opened(server.host, name) as repository:
                await _tag_all(repository, ["v1"])
        async with Transport(quick()) as transport:
            assert await catalog(transport, server.host) == ["a", "a/b", "c"]


async def test_d20_a_ping_tells_a_registry_from_another_server(registry: RunningRegistry) -> None:
    async with Transport(quick()) as transport:
        await ping(transport, registry.host)
        async with serve(said(404)) as server:
            with pytest.raises(ProtocolError, match="not an OCI registry"):
                await ping(transport, server.host)
        async with serve(said(401, WWW_Authenticate='Basic realm="r"')) as server:
            with pytest.raises(UnauthorizedError):
                await ping(transport, server.host)
