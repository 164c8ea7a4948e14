"""What every test gets: asyncio, a home of its own, no proxies, and a watch on blocking calls."""

import importlib.util
import os
import signal
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

pytest_plugins = ["ocipkg_async.testing.pytest_plugin", "registries"]

_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

# A command or a call of the facade starts its loop below its own frame, so all that asyncio
# and the libraries do in it would count as ours.
_LOOP_STARTERS = (
    "ocipkg_async.cli",
    "ocipkg_async.content.loop_thread",
    "ocipkg_async.link",
    "ocipkg_async.sync",
    "ocipkg_async.testing",
)

_READABLE_BYTES = 16

# No test asserts a time, Hypothesis' own limit of 200 ms an example included.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A shell starts background jobs with Ctrl-C ignored, and programs inherit that; those under test
# are to be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Call long bytes by a checksum, without gzip's time: all processes must agree on names."""
    if not isinstance(val, bytes) or len(val) <= _READABLE_BYTES:
        return None
    if val.startswith(b"\x1f\x8b\x08"):
        val = val[:4] + val[8:]
    return f"{argname}-{zlib.crc32(val):08x}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only: aiohttp has no trio."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """A blocking call that the package makes in a running event loop raises."""
    specs = filter(None, map(importlib.util.find_spec, _LOOP_STARTERS))
    # Not imported, only located: tests of other parts need no command line.
    excluded = [importlib.util.module_from_spec(spec) for spec in specs]
    watch = BlockBuster("ocipkg_async", excluded_modules=excluded)
    watch.activate()
    yield
    watch.deactivate()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, so that no test reads or writes anyone's real configuration."""
    # The toolchain that cargo's launcher looks for under the real home is not configuration.
    toolchains = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    home = Path(tempfile.mkdtemp(dir=_homes))
    for name, folder in (
        ("HOME", home),
        ("USERPROFILE", home),
        ("DOCKER_CONFIG", home / ".docker"),
        ("XDG_CACHE_HOME", home / ".cache"),
        ("XDG_CONFIG_HOME", home / ".config"),
        ("XDG_DATA_HOME", home / ".local" / "share"),
        ("XDG_RUNTIME_DIR", home / ".run"),
        ("XDG_STATE_HOME", home / ".local" / "state"),
    ):
        monkeypatch.setenv(name, str(folder))
    if toolchains.is_dir():
        monkeypatch.setenv("RUSTUP_HOME", str(toolchains))
    for name in _PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in [name for name in os.environ if name.startswith("OCIPKG_")]:
        if not name.startswith("OCIPKG_TEST_"):
            monkeypatch.delenv(name)
    # Naming a file that does not exist would be an error.
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    return home
