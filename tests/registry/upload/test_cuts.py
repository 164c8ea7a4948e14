"""Uploads whose connection breaks, by a proxy in front of registries that keep them and that do not."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from faulty.exchange import Exchange
from faulty.faults import CutUpload, Fault, Forget, LoseAnswer, Refuse
from faulty.passage import Side
from faulty.proxy import FaultyProxy
from faulty.when import When
from faulty.wire import Head
from ocipkg_async.content import BytesSource, ProducerSource, Source
from ocipkg_async.errors import TransportError
from ocipkg_async.server import EmbeddedRegistry, RequestLog
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read

SIZE = 24 << 20
CUT = 20 << 20
SLACK = 3 << 20
"""What may be on its way when a connection breaks."""
PUT = When(method="PUT", path="/uploads/")
PATCH = When(method="PATCH", path="/uploads/")


Proxies = Callable[..., FaultyProxy]


class SettlingProxy(FaultyProxy):
    """Lets nobody ask how far an upload is while our registry still writes what came of it before.

    A registry does not wait for that itself, and on a busy machine may be so late that a client
    takes it for all there is.
    """

    def __init__(self, host: str, log: list[RequestLog], *faults: Fault) -> None:
        super().__init__(host, *faults)
        self._log = log

    async def _answer(
        self, client: Side, head: Head, exchange: Exchange, due: list[tuple[Fault, int]]
    ) -> bool:
        if exchange.method == "GET" and "/uploads/" in exchange.target:
            with anyio.move_on_after(5):  # one that never got to a handler is not in the log
                while written(self._log) < written(self.exchanges):  # noqa: ASYNC110
                    await anyio.sleep(0.001)
        return await super()._answer(client, head, exchange, due)


def written(requests: list[RequestLog] | list[Exchange]) -> int:
    return sum(one.method in {"PATCH", "PUT"} for one in requests)


@pytest.fixture
async def settling() -> AsyncIterator[Proxies]:
    """Makes proxies before our own registry."""
    log: list[RequestLog] = []
    async with EmbeddedRegistry(on_request=log.append) as running:
        yield lambda *faults: SettlingProxy(running.host, log, *faults)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("distribution_v3_registry", marks=pytest.mark.interop),
    ]
)
def keeping(request: pytest.FixtureRequest) -> Proxies:
    """Makes proxies before a registry that keeps what it got of a broken upload."""
    if request.param == "embedded":
        proxies: Proxies = request.getfixturevalue("settling")
        return proxies
    host = request.getfixturevalue(request.param).host
    return lambda *faults: FaultyProxy(host, *faults)


def methods(proxy: FaultyProxy) -> list[str]:
    return [one.method for one in proxy.exchanges if "/uploads/" in one.target]


def _producer(data: bytes) -> ProducerSource:
    def write_all(write: Any) -> None:
        for start in range(0, len(data), 1 << 20):
            write(data[start : start + (1 << 20)])

    return ProducerSource(write_all)


@pytest.mark.parametrize("seeks", [True, False])
async def test_d61_a_put_that_breaks_late_is_gone_on_with(
    keeping: Proxies, repository_name: str, seeks: bool
) -> None:
    descriptor, data = blob(SIZE)
    source: Source = BytesSource(data) if seeks else _producer(data)
    async with (
        keeping(CutUpload(at=CUT, when=PUT)) as proxy,
        opened(proxy.host, repository_name) as repository,
    ):
        await repository.push(descriptor, source)
        assert await read(repository, descriptor) == data
    assert [one for one in methods(proxy) if one != "GET"] == ["POST", "PUT", "PATCH", "PUT"]
    assert proxy.received() <= SIZE + SLACK


async def test_a_put_that_breaks_early_is_sent_again(
    embedded: EmbeddedRegistry,
) -> None:
    async with (
        FaultyProxy(embedded.host, CutUpload(at=1 << 20, when=PUT)) as proxy,
        opened(proxy.host) as repository,
    ):
        descriptor, data = await push_blob(repository, SIZE)
        assert await read(repository, descriptor) == data
    assert methods(proxy) == ["POST", "PUT", "DELETE", "POST", "PUT"]


@pytest.mark.interop
async def test_a_registry_that_forgets_broken_uploads_is_asked_once(
    plain_registry: RunningRegistry, repository_name: str
) -> None:
    cut = CutUpload(at=CUT, when=PUT)
    async with (
        FaultyProxy(plain_registry.host, cut) as proxy,
        opened(proxy.host, repository_name) as repository,
    ):
        for seed in (1, 2):
            proxy.clear()
            proxy.inject(cut)
            descriptor, data = await push_blob(repository, SIZE, seed)
            assert await read(repository, descriptor) == data
            assert methods(proxy).count("GET") == (seed == 1)
            assert methods(proxy).count("POST") == 2


@pytest.mark.parametrize("status", [400, 404, 405, 416])
async def test_d63_a_status_that_is_refused_starts_a_new_session(
    embedded: EmbeddedRegistry, status: int
) -> None:
    refuse = Refuse(status=status, when=When(method="GET", path="/uploads/"))
    async with (
        FaultyProxy(embedded.host, CutUpload(at=CUT, when=PUT), refuse) as proxy,
        opened(proxy.host) as repository,
    ):
        descriptor, data = await push_blob(repository, SIZE)
        assert await read(repository, descriptor) == data
    assert methods(proxy) == ["POST", "PUT", "GET", "DELETE", "POST", "PUT"]


async def test_progress_gives_the_tries_back(settling: Proxies) -> None:
    """Three tries in all, and more failures."""
    cut = CutUpload(at=3 << 20, when=When(method="PATCH", path="/uploads/", times=6))
    async with (
        settling(cut) as proxy,
        opened(proxy.host, chunk_bytes=4 << 20) as repository,
    ):
        descriptor, data = await push_blob(repository, SIZE)
        assert await read(repository, descriptor) == data
    assert proxy.hits["cutupload close"] == 6
    assert methods(proxy).count("POST") == 1


async def test_without_progress_the_tries_end(embedded: EmbeddedRegistry) -> None:
    cut = CutUpload(at=0, when=When(method="PATCH", path="/uploads/", times=None))
    async with (
        FaultyProxy(embedded.host, cut) as proxy,
        opened(proxy.host, chunk_bytes=4 << 20) as repository,
    ):
        with pytest.raises(TransportError):
            await push_blob(repository, SIZE)
    assert methods(proxy).count("PATCH") == 3


async def test_a_registry_that_always_forgets_at_the_same_place_gives_no_tries_back(
    embedded: EmbeddedRegistry,
) -> None:
    cut = CutUpload(at=1 << 20, when=When(method="PATCH", path="/uploads/", skip=3, times=None))
    lost = Forget(when=When(method="GET", path="/uploads/", times=None))
    async with (
        FaultyProxy(embedded.host, cut, lost) as proxy,
        opened(proxy.host, chunk_bytes=4 << 20) as repository,
    ):
        with pytest.raises(TransportError):
            await push_blob(repository, SIZE)
    assert methods(proxy).count("POST") <= 4


async def test_an_answer_that_was_lost_is_looked_for(
    keeping: Proxies, repository_name: str
) -> None:
    async with (
        keeping(LoseAnswer(when=PUT)) as proxy,
        opened(proxy.host, repository_name) as repository,
    ):
        descriptor, data = await push_blob(repository, 1 << 20)
        assert methods(proxy) == ["POST", "PUT"]
        assert await read(repository, descriptor) == data
    assert proxy.received() == len(data)


@pytest.mark.parametrize("chunk_bytes", [None, 1 << 20])
async def test_a_gateway_that_does_not_wait_is_not_sent_it_again(
    embedded: EmbeddedRegistry, chunk_bytes: int | None
) -> None:
    """It says 504 when the registry has all, and goes on storing it."""
    descriptor, data = blob(3 << 20)
    async with (
        opened(embedded.host) as direct,
        FaultyProxy(embedded.host, Refuse(status=504, read_body=True, when=PUT)) as proxy,
        opened(proxy.host, chunk_bytes=chunk_bytes) as repository,
    ):
        await direct.push(descriptor, BytesSource(data))
        await repository.push(descriptor, BytesSource(data))
    assert methods(proxy)[-1] == "PUT"
    assert methods(proxy).count("POST") == methods(proxy).count("PUT") == 1


async def test_an_answer_to_a_chunk_that_was_lost_costs_nothing(keeping: Proxies) -> None:
    lost = LoseAnswer(when=When(method="PATCH", path="/uploads/", skip=1))
    async with (
        keeping(lost) as proxy,
        opened(proxy.host, "chunk/lost", chunk_bytes=1 << 20) as repository,
    ):
        descriptor, data = await push_blob(repository, 4 << 20)
        assert await read(repository, descriptor) == data
    assert proxy.received() == len(data)
