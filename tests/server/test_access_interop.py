"""Other tools log in, push with a password and pull without (they differ in what they ask first)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import anyio
import pytest

from ocipkg_async.server import Access, EmbeddedRegistry, TLSFiles
from peers import require
from registries import Certificates, docker_registry
from server.driving import Driver
from server.login import USERS, basic, known, with_token
from server.test_interop import image

pytestmark = pytest.mark.interop

USER = "alice"
PASSWORD = USERS[USER]
TOKENS = pytest.mark.parametrize("tokens", [False, True], ids=["basic", "bearer"])


@pytest.fixture
async def public(tokens: bool) -> AsyncIterator[EmbeddedRegistry]:
    access = Access(users=USERS, anonymous_pull=True, tokens=tokens)
    async with EmbeddedRegistry(access=access) as registry:
        yield registry


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A layout with an image ``v1``."""
    await image(tmp_path / "source")
    return tmp_path / "source"


class Tool:
    """A program with a home of its own, and so with the logins of its own."""

    def __init__(self, program: str, home: Path) -> None:
        self.program = require(program)
        home.mkdir()
        self.environment = {
            "HOME": str(home),
            "DOCKER_CONFIG": str(home / ".docker"),
            "REGISTRY_AUTH_FILE": str(home / "auth.json"),
            "XDG_RUNTIME_DIR": str(home),
            "PATH": "/usr/bin:/bin",
        }

    async def __call__(self, *arguments: str, code: int = 0, stdin: str = "") -> str:
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [self.program, *arguments],
                input=stdin.encode(),
                check=False,
                env=self.environment,
            )
        output = (done.stdout + done.stderr).decode()
        assert bool(done.returncode) is bool(code), output
        return output


@TOKENS
async def test_skopeo(public: EmbeddedRegistry, source: Path, tmp_path: Path) -> None:
    name = f"docker://{public.host}/team/app:v1"
    anybody = Tool("skopeo", tmp_path / "anybody")
    user = Tool("skopeo", tmp_path / "user")
    login = ("login", "--tls-verify=false", "-u", USER, "--password-stdin", public.host)
    await user(*login, stdin="wrong", code=1)
    await user(*login, stdin=PASSWORD)
    push = ("copy", "--dest-tls-verify=false", f"oci:{source}:v1")
    await anybody(*push, name, code=1)
    await user(*push, name)
    await anybody(*push, "--dest-creds", f"{USER}:{PASSWORD}", f"docker://{public.host}/other")
    pull = ("copy", "--src-tls-verify=false", name)
    await anybody(*pull, f"oci:{tmp_path / 'back'}:v1")
    await anybody("list-tags", "--tls-verify=false", name.removesuffix(":v1"))
    wrong = await anybody(*pull, "--src-creds", f"{USER}:x", f"oci:{tmp_path / 'no'}:v1", code=1)
    assert "unauthorized" in wrong
    # From one repository to another, mounted: that needs a token for both.
    both = ("copy", "--src-tls-verify=false", "--dest-tls-verify=false")
    await user(*both, name, f"docker://{public.host}/team/copy:v1")
    await user("delete", "--tls-verify=false", name)


@pytest.fixture
async def pushed(public: EmbeddedRegistry, http: aiohttp.ClientSession, tokens: bool) -> str:
    """A repository with the tag ``v1``."""
    driver = Driver(http, public.url)
    writer = (
        await with_token(driver, "repository:team/app:pull,push", authorization=basic())
        if tokens
        else known(driver)
    )
    await writer.push_manifest("v1", "team/app")
    return f"{public.host}/team/app"


@TOKENS
@pytest.mark.parametrize("program", ["oras", "crane", "regctl"])
async def test_other_clients(pushed: str, program: str, tmp_path: Path) -> None:
    host = pushed.partition("/")[0]
    anybody = Tool(program, tmp_path / "anybody")
    user = Tool(program, tmp_path / "user")
    login: tuple[str, ...]
    tags: tuple[str, ...]
    copy: tuple[str, ...]
    delete: tuple[str, ...]
    secret = ("-u", USER, "-p", PASSWORD)
    match program:
        case "oras":
            login = ("login", "--plain-http", host, *secret)
            tags = ("repo", "tags", "--plain-http")
            copy = ("cp", "--from-plain-http", "--to-plain-http")
            delete = ("manifest", "delete", "--plain-http", "-f")
        case "crane":
            login = ("auth", "login", host, *secret)
            tags, copy, delete = (("--insecure", verb) for verb in ("ls", "copy", "delete"))
        case _:
            login = ("registry", "login", host, *secret)
            tags, copy, delete = ("tag", "ls"), ("image", "copy"), ("tag", "rm")
            for tool in (user, anybody):
                await tool("registry", "set", "--skip-check", "--tls", "disabled", host)
    await user(*login)
    # Mounted from one repository to another: that needs a token for both.
    await user(*copy, f"{pushed}:v1", f"{host}/team/copy:v1")
    assert "v1" in await anybody(*tags, f"{host}/team/copy")
    await anybody(*copy, f"{pushed}:v1", f"{host}/team/refused:v1", code=1)
    await user(*delete, f"{host}/team/copy:v1")


@pytest.mark.parametrize("tokens", [True])
@pytest.mark.parametrize("credentials", [{}, {"username": USER, "password": PASSWORD}])
async def test_docker_registry_as_a_mirror(
    public: EmbeddedRegistry, pushed: str, credentials: dict[str, str], tmp_path: Path
) -> None:
    """It reads with the code that Docker reads with: a ping, and a token that the ping led to."""
    proxy = {"remoteurl": public.url, **credentials}
    (tmp_path / "mirror").mkdir()
    reader = Tool("skopeo", tmp_path / "anybody")

    async with AsyncExitStack() as stack:
        mirror = docker_registry(tmp_path / "mirror", proxy=proxy)
        # In a thread: it waits for the registry of this loop.
        running = await anyio.to_thread.run_sync(mirror.__enter__)
        stack.push_async_callback(anyio.to_thread.run_sync, mirror.__exit__, None, None, None)
        name = f"docker://{running.host}/team/app:v1"
        assert "schemaVersion" in await reader("inspect", "--raw", "--tls-verify=false", name)


async def test_skopeo_over_tls(certificates: Certificates, source: Path, tmp_path: Path) -> None:
    """As it is used for real: login, an authority of our own, and no switch that turns checks off."""
    files = TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes(certificates.ca_file.read_bytes())
    user = Tool("skopeo", tmp_path / "user")
    access = Access(users=USERS, tokens=True)
    async with EmbeddedRegistry(tls=files, access=access) as registry:
        name = f"docker://{registry.host}/team/app:v1"
        login = ("-u", USER, "--password-stdin", registry.host)
        await user("login", *login, stdin=PASSWORD, code=1)
        await user("login", "--cert-dir", str(trusted), *login, stdin=PASSWORD)
        await user("copy", "--dest-cert-dir", str(trusted), f"oci:{source}:v1", name)
        await user("copy", "--src-cert-dir", str(trusted), name, f"oci:{tmp_path / 'back'}:v1")
