"""The blocking client in this process: verbs, threads, loops, errors."""

import gc
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client.trees import FILES, contents, make_tree
from ocipkg_async import ClientOptions, TransportOptions
from ocipkg_async.errors import (
    ClosedError,
    InvalidArgumentError,
    NotFoundError,
    OCIError,
    TimedOutError,
)
from ocipkg_async.events import Event
from ocipkg_async.sync import Client
from ocipkg_async.transport import RetryPolicy
from registries import RunningRegistry
from sync.silence import TIME_LIMIT_S, Silence, is_closed, silent_server


@pytest.fixture
def name(threaded_registry: RunningRegistry, repository_name: str) -> str:
    return f"{threaded_registry.host}/{repository_name}"


@pytest.fixture
def silence() -> Iterator[Silence]:
    with silent_server() as server:
        yield server


def test_verbs(name: str, tmp_path: Path) -> None:
    tree, archive = make_tree(tmp_path / "tree"), str(tmp_path / "a.tar")
    with Client(ClientOptions(store=tmp_path / "store")) as client:
        assert client.options.store == tmp_path / "store"
        packed = client.pack([tree], archive, name=f"{name}:v1")
        ((reference, pushed),) = client.push(archive)
        assert pushed == packed == client.resolve(reference)
        package = client.get(reference)
        assert contents(package.path) == FILES
        assert client.find(reference) == package
        assert client.packages() == [package]
        assert client.verify() == []
        assert client.tag(reference, ["v2"]) == packed
        assert client.tags(name) == ["v1", "v2"]
        assert client.inspect(reference).document.digest == packed.digest
        assert client.referrers(reference) == []
        assert client.copy(reference, f"{name}-copy:v1").root == packed
        assert client.pull(reference, tmp_path / "out").files == len(FILES)
        assert client.save(reference, archive, overwrite=True) == packed
        assert client.remove(reference) == package
        assert client.load(archive) == [package]
        assert client.prune().packages == 0
        assert any(name.endswith(found) for found in client.repositories(name.partition("/")[0]))
        assert client.push_files(f"{name}-files:v1", []).size
        assert client.logout("example.org") is False


def test_errors_are_the_same(name: str) -> None:
    with Client() as client:
        with pytest.raises(NotFoundError) as caught:
            client.tags(name)
        assert caught.value.hint
        with pytest.raises(InvalidArgumentError, match="open already"):
            client.__enter__()


def test_time_out_is_the_operations_own(silence: Silence) -> None:
    transport = TransportOptions(read_timeout_s=0.05, retry=RetryPolicy(attempts=1))
    with Client(ClientOptions(transport=transport)) as client, pytest.raises(TimedOutError):
        client.tags(f"{silence.host}/a")


def test_threads_share_a_client(name: str, tmp_path: Path) -> None:
    with Client(ClientOptions(store=tmp_path / "store")) as client, ThreadPoolExecutor(8) as pool:

        def there_and_back(number: int) -> bytes:
            tree = make_tree(tmp_path / f"tree{number}", {"own": b"%d" % number})
            client.pack([tree], f"{name}:v{number}")
            return contents(client.get(f"{name}:v{number}").path)["own"]

        assert list(pool.map(there_and_back, range(16))) == [b"%d" % n for n in range(16)]
        assert len(client.packages()) == 16


def test_closed_client_says_so_and_can_be_opened_again(tmp_path: Path) -> None:
    client = Client(ClientOptions(store=tmp_path / "store"))
    for _ in range(2):
        with pytest.raises(ClosedError) as caught:
            client.packages()
        assert "with Client" in (caught.value.hint or "")
        with client:
            assert client.packages() == []
    threads = {thread.name for thread in threading.enumerate()}
    assert "ocipkg-async" not in threads


def test_callback_that_calls_its_client(name: str, tmp_path: Path) -> None:
    def call_back(_event: Event) -> None:
        client.packages()

    with Client(ClientOptions(store=tmp_path / "store"), on_event=call_back) as client:
        with pytest.raises(ClosedError, match="callback"):
            client.pack([make_tree(tmp_path / "tree")], f"{name}:v1")
        assert client.packages() == []


def test_callback_that_fails_ends_the_call(name: str, tmp_path: Path) -> None:
    def fail(_event: Event) -> None:
        raise ZeroDivisionError

    with Client(on_event=fail) as client, pytest.raises(ZeroDivisionError):
        client.pack([make_tree(tmp_path / "tree")], str(tmp_path / "a.tar"))
    assert not (tmp_path / "a.tar").exists()


async def test_in_a_running_loop_it_works_and_warns(name: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    with pytest.warns(RuntimeWarning, match="inside an event loop") as caught, Client() as client:  # noqa: PT031 - each statement warns
        packed = client.pack([tree], f"{name}:v1")
        assert client.resolve(f"{name}:v1") == packed
    assert {Path(warning.filename).name for warning in caught} == {Path(__file__).name}


def test_without_a_loop_nothing_is_warned_of(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Client() as client:
            assert isinstance(client.packages(), list)


def test_client_that_was_not_closed_warns(tmp_path: Path) -> None:
    client = Client(ClientOptions(store=tmp_path / "store"))
    client.__enter__()
    bridge, inner = client._open, client._client
    assert bridge is not None
    with pytest.warns(ResourceWarning, match="not closed"):  # noqa: PT031 - there is no call for it
        del client
        gc.collect()
    bridge.call(inner.__aexit__, None, None, None)
    bridge.stop()


def test_client_that_was_never_opened_is_quiet() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client()
        gc.collect()


def test_closing_ends_calls_of_other_threads(silence: Silence) -> None:
    raised: list[BaseException] = []
    client = Client()

    def call() -> None:
        try:
            client.tags(f"{silence.host}/a")
        except OCIError as error:
            raised.append(error)

    with client:
        thread = threading.Thread(target=call)
        thread.start()
        connection = silence.accept()
    thread.join(TIME_LIMIT_S)
    assert not thread.is_alive()
    assert len(raised) == 1
    with connection:
        assert is_closed(connection)
