"""A registry in a thread, for blocking tests: what it does, and that nothing of it is left."""

import gc
import inspect
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

import ocipkg_async
from ocipkg_async import ArtifactFile, BytesSource, ClientOptions, Descriptor, EmbeddedRegistry
from ocipkg_async.errors import ConnectError, InvalidArgumentError, StorageError
from ocipkg_async.spec import Digest
from ocipkg_async.sync import Client
from ocipkg_async.testing import (
    Access,
    Faults,
    RequestLog,
    RunningRegistry,
    TLSFiles,
    run_registry,
)
from ocipkg_async.transport import TransportOptions
from testing.asking import TIME_LIMIT_S, ask

DESCRIPTORS = Path("/proc/self/fd")


def opened() -> set[str]:
    """What this process has open, each by a name that nothing else gets later."""
    gc.collect()
    names = set()
    for path in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        try:
            names.add(str(path.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return {name for name in names if name.startswith(("socket:", "pipe:", "/"))}


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """What the block starts, opens and makes is gone at its end, without any waiting."""
    threads, files = set(threading.enumerate()), opened()
    yield
    assert set(threading.enumerate()) <= threads
    assert opened() <= files
    assert list(folder.iterdir()) == []


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_it_answers_and_is_gone(temporary: Path) -> None:
    with nothing_left(temporary):
        with run_registry() as registry, ThreadPoolExecutor(20) as clients:
            for number in range(20):  # at once, so that the registry has many threads
                clients.submit(push_blob, registry, bytes([number]) * 200_000)
            assert registry.url == f"http://{registry.host}"
            assert registry.root.parent == temporary.resolve()
            assert isinstance(registry, RunningRegistry)
        with pytest.raises(urllib.error.URLError):
            ask(f"{registry.url}/v2/")


def test_a_folder_of_the_caller_stays(tmp_path: Path) -> None:
    with run_registry(tmp_path / "registry") as registry:
        blob = push_blob(registry, b"blob").removeprefix(registry.url)
    with run_registry(tmp_path / "registry") as registry:
        assert ask(registry.url + blob).body == b"blob"
    assert (tmp_path / "registry" / "a" / "index.json").is_file()


def push_blob(registry: RunningRegistry, data: bytes) -> str:
    """Push a blob to the repository ``a``; return its URL."""
    digest = Digest.of(data)
    begin = f"{registry.url}/v2/a/blobs/uploads/?digest={digest}"
    assert ask(begin, method="POST", data=data).status == 201
    return f"{registry.url}/v2/a/blobs/{digest}"


def test_several_at_once_and_one_within_another(temporary: Path) -> None:
    with nothing_left(temporary), ExitStack() as stack:
        running = [stack.enter_context(run_registry()) for _ in range(3)]
        assert len({one.host for one in running}) == 3
        for one in running:
            blob = push_blob(one, one.host.encode())
            assert ask(blob).body == one.host.encode()
            assert len(one.requests) == 2
        running[0].faults.refuse_next = 1
        assert [ask(f"{one.url}/v2/").status for one in running] == [429, 200, 200]


def test_an_exception_in_the_block_comes_out_and_leaves_nothing(temporary: Path) -> None:
    with nothing_left(temporary), pytest.raises(ZeroDivisionError), run_registry():
        raise ZeroDivisionError


def test_one_that_cannot_start_raises_and_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    with run_registry(tmp_path / "root") as other:
        port = int(other.host.rpartition(":")[2])
        with nothing_left(temporary):
            with pytest.raises(StorageError, match="another registry"):
                run_registry(tmp_path / "root").__enter__()
            with pytest.raises(ConnectError, match=str(port)):
                run_registry(port=port).__enter__()
            with pytest.raises(InvalidArgumentError):
                run_registry(host="192.0.2.1").__enter__()


def test_requests_in_progress_do_not_hold_up_the_end(temporary: Path) -> None:
    failures: list[Exception] = []

    def wait() -> None:
        try:
            ask(f"{registry.url}/v2/")
        except OSError as error:
            failures.append(error)

    def every(_method: str, _path: str) -> bool:
        asked.set()
        return True

    asked = threading.Event()
    thread = threading.Thread(target=wait)
    with nothing_left(temporary):
        with run_registry() as registry:
            registry.faults.delay_s = 10 * TIME_LIMIT_S
            registry.faults.when = every
            thread.start()
            assert asked.wait(TIME_LIMIT_S)
            assert list(registry.requests) == []
        thread.join(TIME_LIMIT_S)
    assert len(failures) == 1
    assert [one.status for one in registry.requests] == [0]


def test_faults_are_switched_from_the_thread_of_the_test() -> None:
    with run_registry(faults=Faults(refuse_next=1, refuse_status=503)) as registry:
        ping = f"{registry.url}/v2/"
        assert [ask(ping).status for _ in range(2)] == [503, 200]
        registry.faults.refuse_status = 429
        registry.faults.retry_after = "0"
        registry.faults.refuse_next = 2
        assert [ask(ping).status for _ in range(3)] == [429, 429, 200]
        assert [one.status for one in registry.requests] == [503, 200, 429, 429, 200]


def test_a_client_goes_on_where_a_blob_broke_off(tmp_path: Path) -> None:
    data = os.urandom(8_000_000)
    (tmp_path / "data.bin").write_bytes(data)
    with run_registry() as registry, Client() as client:
        reference = f"{registry.host}/notes:v1"
        client.push_files(reference, [ArtifactFile(path=tmp_path / "data.bin", title="data.bin")])
        registry.requests.clear()
        registry.faults.drop_blob_at = 6_000_000
        client.pull(reference, tmp_path / "out")
        first, second = [one for one in registry.requests if str(Digest.of(data)) in one.path]
    assert (tmp_path / "out" / "data.bin").read_bytes() == data
    assert (first.status, second.status) == (499, 206)
    assert "Range" not in first.headers
    assert re.match("bytes=[1-9]", second.headers["Range"])


def test_requests_are_there_when_their_answer_is() -> None:
    """Also those of large blobs, which leave without the handler."""
    with run_registry() as registry:
        large = push_blob(registry, os.urandom(100_000))
        small = push_blob(registry, b"small")
        registry.requests.clear()
        for count in range(1, 101):
            ask(large)
            assert len(registry.requests) == 2 * count - 1
            ask(small, method="HEAD")
            assert registry.requests[-1].method == "HEAD"
        registry.requests.clear()
        assert list(registry.requests) == []


async def test_a_coroutine_waits_for_what_is_recorded() -> None:
    log: list[RequestLog] = []
    data = os.urandom(100_000)
    blob = Descriptor.of(data, "application/octet-stream")
    async with EmbeddedRegistry(on_request=log.append) as registry, ocipkg_async.Client() as client:
        repository = client.repository(f"{registry.host}/a")
        await repository.push(blob, BytesSource(data))
        await registry.settled(timeout_s=60)
        for count in range(len(log) + 1, len(log) + 51):
            async with repository.fetch(blob) as reader:
                assert await reader.read(len(data)) == data
            await registry.settled(timeout_s=60)
            assert len(log) == count
    await registry.settled()  # it has ended


def test_an_answer_that_nobody_takes_is_waited_for_in_vain_and_then_is_there() -> None:
    data = bytes(20_000_000)
    with run_registry() as registry:
        blob = push_blob(registry, data)
        registry.requests.clear()
        with urllib.request.urlopen(blob, timeout=TIME_LIMIT_S) as answer:
            assert list(registry.requests) == []
            assert answer.read() == data
        assert [one.sent_bytes for one in registry.requests] == [len(data)]


def test_requests_are_a_sequence() -> None:
    seen: list[RequestLog] = []

    def also(log: RequestLog) -> None:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(log)
        assert len(registry.requests) == len(seen)  # read there, where nothing can be waited for

    with run_registry(on_request=also) as registry:
        for path in ("/v2/", "/v2/_catalog", "/nothing"):
            ask(registry.url + path)
        expected = [("/v2/", 200), ("/v2/_catalog", 200), ("/nothing", 404)]
        assert [(one.path, one.status) for one in registry.requests] == expected
        assert registry.requests[0].path == "/v2/"
        assert [one.path for one in registry.requests[1:]] == ["/v2/_catalog", "/nothing"]
        assert "GET /v2/_catalog 200" in repr(registry.requests)
        iterator = iter(registry.requests)
        next(iterator)
        registry.requests.clear()  # from under a loop over them
        assert [one.path for one in iterator] == ["/v2/_catalog", "/nothing"]
    assert len(seen) == 3
    assert len(registry.requests) == 0


def test_threads_that_read_and_ask_at_once() -> None:
    def work() -> None:
        for _ in range(20):
            ask(f"{registry.url}/v2/")
            assert registry.requests[-1].status == 200

    failures: list[BaseException] = []

    def guarded(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    with run_registry() as registry:
        threads = [threading.Thread(target=guarded, args=(work,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT_S)
        assert failures == []
        assert len(registry.requests) == 100


async def test_it_works_inside_a_running_loop(temporary: Path) -> None:
    with nothing_left(temporary), run_registry() as registry:
        async with ocipkg_async.Client() as client:
            assert await client.repositories(registry.host) == []
        assert [one.path for one in registry.requests] == ["/v2/_catalog"]


@pytest.mark.parametrize("tokens", [False, True])
def test_a_user_is_logged_in_by_a_configuration_file(tmp_path: Path, tokens: bool) -> None:
    users = {"alice": "wonder:land", "bob": "secret"}
    with run_registry(access=Access(users=users, tokens=tokens)) as registry:
        assert ask(f"{registry.url}/v2/").status == 401
        for user in (None, "bob"):
            authfile = tmp_path / f"{user}.json"
            authfile.write_text(registry.docker_config(user))
            with Client(ClientOptions(authfile=authfile)) as client:
                assert client.repositories(registry.host) == []
        with pytest.raises(InvalidArgumentError, match="mallory"):
            registry.docker_config("mallory")
        assert "secret" not in repr(registry)


def test_without_users_nobody_is_logged_in() -> None:
    with run_registry() as registry, pytest.raises(InvalidArgumentError) as caught:
        registry.docker_config()
    assert "users" in str(caught.value.hint)


def test_tls(tmp_path: Path, temporary: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    both = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    trusting = TransportOptions(plain_http=False, ca_file=tmp_path / "ca.pem")
    options = ClientOptions(transport=trusting)
    data = os.urandom(300_000)
    (tmp_path / "data.bin").write_bytes(data)
    with nothing_left(temporary), run_registry(tls=TLSFiles(certificate=both, key=both)) as running:
        assert running.url == f"https://{running.host}"
        with Client(options) as client:
            client.push_files(
                f"{running.host}/notes:v1",
                [ArtifactFile(path=tmp_path / "data.bin", title="data.bin")],
            )
            client.pull(f"{running.host}/notes:v1", tmp_path / "out")
        assert (tmp_path / "out" / "data.bin").read_bytes() == data
        assert running.requests[-1].status == 200


def test_its_options_are_those_of_the_registry() -> None:
    assert inspect.signature(run_registry) == inspect.signature(EmbeddedRegistry)
    with pytest.raises(TypeError, match="nonsense"):
        run_registry(nonsense=True).__enter__()  # type: ignore[call-arg]
