"""The fixtures, as another project has them: one line in its conftest."""

from pathlib import Path

from testing.outside import outcome, run_pytest

# The line, and a watch over what is left when all tests are done, failed ones included.
CONFTEST = """
import os, threading

import pytest

pytest_plugins = ["ocipkg_async.testing.pytest_plugin"]

@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
    yield
    assert [thread.name for thread in threading.enumerate() if "oci" in thread.name] == []
    assert not before or len(os.listdir("/proc/self/fd")) <= before
"""

SYNC = """
import os
import urllib.error
import urllib.request

import pytest

from ocipkg_async import ArtifactFile, ClientOptions
from ocipkg_async.sync import Client

def test_refused(oci_registry):
    oci_registry.faults.retry_after = "1"
    oci_registry.faults.refuse_next = 1
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(oci_registry.url + "/v2/")
    with caught.value as answer:
        assert (answer.code, answer.headers["Retry-After"]) == (429, "1")
    with urllib.request.urlopen(oci_registry.url + "/v2/") as answer:
        assert answer.status == 200
    assert [one.status for one in oci_registry.requests] == [429, 200]

def test_resumed(oci_registry, tmp_path):
    file = tmp_path / "data"
    file.write_bytes(os.urandom(8_000_000))
    name = f"{oci_registry.host}/data:v1"
    with Client(ClientOptions(store=tmp_path / "store")) as client:
        client.push_files(name, [ArtifactFile(path=file, title="data")])
        oci_registry.faults.drop_blob_at = 6_000_000
        oci_registry.requests.clear()
        client.pull(name, tmp_path / "out")
    assert (tmp_path / "out" / "data").read_bytes() == file.read_bytes()
    assert [one.status for one in oci_registry.requests if one.sent_bytes > 100_000] == [206]
    assert 499 in [one.status for one in oci_registry.requests]

def test_next_has_its_own(oci_registry):
    assert not list(oci_registry.requests)
    assert oci_registry.faults.drop_blob_at is None
    with urllib.request.urlopen(oci_registry.url + "/v2/_catalog") as answer:
        assert answer.read() == b'{"repositories":[]}'
"""

ASYNC = """
import pytest

from ocipkg_async import BytesSource, Client, ClientOptions, Descriptor
from ocipkg_async.errors import NotFoundError

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_async_client(oci_registry, tmp_path):
    blob = Descriptor.of(b"blob", "application/octet-stream")
    async with Client(ClientOptions(store=tmp_path)) as client:
        repository = client.repository(f"{oci_registry.host}/async")
        await repository.push(blob, BytesSource(b"blob"))
        async with repository.fetch(blob) as reader:
            assert await reader.read() == b"blob"
        with pytest.raises(NotFoundError):
            await client.resolve(f"{oci_registry.host}/async:nothing")
    assert oci_registry.requests[-1].status == 404
"""

OPTIONS = """
import urllib.error
import urllib.request

import pytest

from ocipkg_async.testing import Access

@pytest.fixture
def oci_registry(run_oci_registry):
    return run_oci_registry(access=Access(users={"alice": "secret"}))

def test_overridden(oci_registry, run_oci_registry, tmp_path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(oci_registry.url + "/v2/")
    caught.value.close()
    assert caught.value.code == 401
    other = run_oci_registry(tmp_path / "root", referrers=False)
    assert other.host != oci_registry.host
    assert other.root == tmp_path / "root"
    urllib.request.urlopen(other.url + "/v2/").close()
"""

FAILING = """
import pytest

def test_fails(oci_registry):
    assert oci_registry.requests[-1:] == ["nothing"]

@pytest.mark.parametrize("number", range(3))
def test_fixture_that_fails(number, run_oci_registry):
    run_oci_registry()
    run_oci_registry(host="192.0.2.1")
"""

MANY = """
import urllib.request

import pytest

@pytest.mark.parametrize("number", range(12))
def test_own_registry(number, oci_registry):
    for size in range(2):
        assert len(oci_registry.requests) == size
        urllib.request.urlopen(oci_registry.url + "/v2/").close()
"""


def test_blocking_and_async_tests(tmp_path: Path) -> None:
    status, printed = run_pytest(
        tmp_path, conftest=CONFTEST, test_sync=SYNC, test_async=ASYNC, test_options=OPTIONS
    )
    assert status == 0, printed
    assert outcome(printed) == {"passed": 5}


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    """The watch at the end of the project's session would be an error."""
    status, printed = run_pytest(tmp_path, conftest=CONFTEST, test_failing=FAILING)
    assert status == 1, printed
    assert outcome(printed) == {"failed": 4}
    assert "can be reached from other machines" in printed


def test_several_processes(tmp_path: Path) -> None:
    status, printed = run_pytest(tmp_path, "-n", "2", conftest=CONFTEST, test_many=MANY)
    assert status == 0, printed
    assert outcome(printed) == {"passed": 12}


def test_without_the_line_there_are_no_fixtures(tmp_path: Path) -> None:
    status, printed = run_pytest(tmp_path, test_one="def test_one(oci_registry): pass\n")
    assert status == 1
    assert "fixture 'oci_registry' not found" in printed
