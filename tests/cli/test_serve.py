"""``serve`` as a person runs it: what it says, what it refuses, how it ends."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.running import TIME_LIMIT_S, finish, run, start
from client.trees import everything
from moments import just_before
from ocipkg_async.content.locks import lock_if_free
from ocipkg_async.server.storage import LOCK
from ocipkg_async.testing import run_registry
from registries import HTPASSWD, PASSWORD, USERNAME, Certificates

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@contextmanager
def served(*args: object, folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run ``serve`` on a free port; give its process and URL."""
    process = start("serve", *args, "--port", "0", cwd=folder)
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=TIME_LIMIT_S) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def shell(line: str, folder: Path, *, stdin: str = "") -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-ec", line],
        cwd=folder,
        env={**os.environ, "PATH": path},
        input=stdin,
        text=True,
        check=True,
        timeout=TIME_LIMIT_S,
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)]
)
def test_serve_until_told(number: signal.Signals, code: int, tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    with served(folder, folder=tmp_path) as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        run("pack", tree, "-o", f"{url.removeprefix('http://')}/a/b:v1")
        process.send_signal(number)
        printed, errors = finish(process)
    assert (process.returncode, printed) == (code, "")
    assert errors.startswith(f"serving {folder} at {url}; stop with Ctrl-C\ntry: ")
    assert re.search(r"\n[\d:]{8}  PUT     201 .* a/b manifest v1\n", errors)
    assert "Traceback" not in errors
    assert run("tags", f"oci:{folder / 'a/b'}").stdout == "v1\n"
    assert not [path for path in everything(folder) if ".tmp-" in path]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_twice_it_still_removes_its_temporary_folder(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(folder=tmp_path) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:  # the end waits for it
            slow.sendall(
                b"POST /v2/a/blobs/uploads/?digest=sha256:%064d HTTP/1.1\r\nHost: a\r\n"
                b"Content-Length: 9\r\n\r\n" % 0
            )
            assert get(url) == 200
            process.send_signal(number)
            with contextlib.suppress(OSError):
                while True:
                    socket.create_connection((host, int(port))).close()
            process.send_signal(number)
            finish(process)
    assert process.returncode == 0
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    with served("--json", folder=tmp_path) as (process, first):
        assert process.stdout
        lines = [first, *iter(process.stdout.readline, "}\n"), "}"]
        said = json.loads("".join(lines))
        assert said["url"] == f"http://{said['host']}"
        folder = Path(said["folder"])
        assert folder.is_dir()
        # As it stands, in another folder, which is another terminal's.
        assert process.stderr
        assert "a temporary folder" in process.stderr.readline()
        shell(process.stderr.readline().removeprefix("try: "), tmp_path)
        assert run("tags", f"{said['host']}/notes").stdout == "v1\n"
        assert process.stderr.readline() == f"then open {said['url']} in a browser\n"
        assert get(said["url"]) == 200
        process.terminate()
        finish(process)
    assert not folder.exists()


def test_users_and_tls(tmp_path: Path, certificates: Certificates) -> None:
    (tmp_path / "users").write_text(HTPASSWD)
    chain = certificates.server_cert_file.read_text() + certificates.ca_file.read_text()
    (tmp_path / "a cert.pem").write_text(chain)
    args = ("--htpasswd", "users", "--anonymous-pull", "--tls-cert", "a cert.pem")
    key = ("--tls-key", certificates.server_key_file)
    with served("registry", *args, *key, folder=tmp_path) as (process, url):
        assert process.stderr
        assert url.startswith("https://")
        assert f" at {url}; " in process.stderr.readline()
        login = process.stderr.readline().removeprefix("log in: ").strip()
        push = process.stderr.readline().removeprefix("try: ")
        with pytest.raises(subprocess.CalledProcessError):
            shell(push, tmp_path)
        shell(f"{login} -u {USERNAME} --password-stdin", tmp_path, stdin=PASSWORD)
        shell(push, tmp_path)
        name = f"{url.removeprefix('https://')}/notes"
        shell(f"ocipkg-async tags --https --ca-file {certificates.ca_file} {name}", tmp_path)
        process.terminate()
        _, errors = finish(process)
    assert re.search(r"POST    401 .* notes new upload\n", errors)
    assert re.search(rf"PUT     201 .* notes manifest v1 by {USERNAME}\n", errors)
    assert "warning" not in errors


def test_tokens_let_everybody_read_and_users_push(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(HTPASSWD)
    args = ("--htpasswd", "users", "--anonymous-pull", "--tokens")
    with served("registry", *args, folder=tmp_path) as (process, url):
        name = f"{url.removeprefix('http://')}/notes"
        (tmp_path / "hello.txt").write_text("hello")
        with pytest.raises(subprocess.CalledProcessError):
            shell(f"ocipkg-async push {name}:v1 hello.txt", tmp_path)
        login = f"ocipkg-async login {name.partition('/')[0]} -u {USERNAME} --password-stdin"
        shell(login, tmp_path, stdin=PASSWORD)
        shell(f"ocipkg-async push {name}:v1 hello.txt", tmp_path)
        shell(f"ocipkg-async logout {name.partition('/')[0]}", tmp_path)
        shell(f"ocipkg-async pull {name}:v1 -o got", tmp_path)
        process.terminate()
        finish(process)
    assert (tmp_path / "got" / "hello.txt").read_text() == "hello"


def test_requests_in_lines_for_people(tmp_path: Path) -> None:
    with served(folder=tmp_path) as (process, url):
        for path in (
            "/",
            "/v2/",
            "/v2/_catalog",
            "/v2/a/tags/list",
            f"/v2/a/blobs/sha256:{'0' * 64}",
            f"/v2/a/b/manifests/sha512:{'1' * 128}",
            f"/v2/a/referrers/sha256:{'2' * 64}",
            "/v2/a/blobs/uploads/0123456789",
            "/v2/%1b%5b31mred/manifests/v1",
            "/%e2%80%ae%0d%00" + "x" * 1000,
        ):
            get(url + path)
        process.terminate()
        _, errors = finish(process)
    lines = errors.splitlines()[3:]
    columns = [re.split(r" {2,}", line, maxsplit=5) for line in lines]
    assert [line[5] for line in columns] == [
        "page",
        "ping",
        "repositories",
        "a tags",
        "a blob sha256:000000000000",
        "a/b manifest sha512:111111111111",
        "a referrers sha256:222222222222",
        "a upload 01234567",
        "/v2/\N{REPLACEMENT CHARACTER}[31mred/manifests/v1",
        "/" + "\N{REPLACEMENT CHARACTER}" * 3 + "x" * 196,
    ]
    starts = {line.index(column[5]) for line, column in zip(lines, columns, strict=True)}
    assert len(starts) == 1
    assert [line[1:3] for line in columns[:4]] == [["GET", "200"]] * 3 + [["GET", "404"]]
    assert columns[1][3] == "2 B"
    assert re.fullmatch(r"\d+\.\d m?s", columns[1][4])


def test_requests_for_machines(tmp_path: Path) -> None:
    with served("--progress", "json", folder=tmp_path) as (process, url):
        assert get(f"{url}/v2/%22/%1b") == 404
        process.terminate()
        _, errors = finish(process)
    one = json.loads(errors.splitlines()[-1])
    assert (one["event"], one["path"], one["status"]) == ("request", '/v2/"/\x1b', 404)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--anonymous-pull"], "needs --htpasswd"),
        (["--tokens"], "needs --htpasswd"),
        (["--htpasswd", "missing"], "make one with: htpasswd -B -c missing USER"),
        (["--tls-cert", "file"], "go together"),
        (["--tls-key", "file"], "go together"),
        (["--client-ca", "file"], "needs --tls-cert"),
        (["--htpasswd", "file"], "password file"),
        (["--tls-cert", "file", "--tls-key", "file"], "for TLS"),
        (["--host", "0.0.0.0"], "no passwords"),  # noqa: S104 - refused
        (["layout"], "is an image layout"),
        (["other"], "is the storage of docker-registry"),
        (["files"], "it has files, such as 'mine'"),
    ],
)
def test_what_cannot_be_meant(
    args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("nothing")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine").write_text("mine")
    (tmp_path / "other" / "docker" / "registry" / "v2").mkdir(parents=True)
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout" / "oci-layout").write_text("{}")
    before = everything(tmp_path)
    errors = run("serve", *args, "--port", "0", code=2).stderr
    assert says in errors
    assert "hint: " in errors
    assert everything(tmp_path) == before


def test_folder_or_port_of_another_registry(tmp_path: Path) -> None:
    with run_registry(tmp_path / "registry") as registry:
        errors = run("serve", registry.root, "--port", "0", code=8).stderr
        assert "another registry serves" in errors
        port = registry.host.rpartition(":")[2]
        errors = run("serve", tmp_path / "other", "--port", port, code=6).stderr
        # What was served before may have files that somebody put there.
        (tmp_path / "other" / "README").write_text("what this is")
        assert run("serve", tmp_path / "other", "--port", port, code=6).stderr == errors
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert "hint: choose another port" in errors


def test_all_addresses_with_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    """The certificate has a name, and so has what to connect to."""
    files = ("--tls-cert", certificates.server_cert_file, "--tls-key", certificates.server_key_file)
    args = ("--host", "0.0.0.0", "--insecure-listen", *files)  # noqa: S104 - for a moment, with nothing
    with served(*args, folder=tmp_path) as (process, url):
        assert process.stderr
        assert re.fullmatch(rf"https://{re.escape(socket.gethostname())}:\d+", url)
        port = url.rpartition(":")[2]
        said = f" at {url} and all other addresses of this machine, port {port}; stop with Ctrl-C\n"
        assert process.stderr.readline().endswith(said)
        assert f" --ca-file {certificates.server_cert_file} {url[8:]}/" in process.stderr.readline()
        context = ssl.create_default_context(cafile=certificates.ca_file)
        urllib.request.urlopen(f"https://localhost:{port}/v2/", context=context).close()


def test_passwords_that_others_could_read(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(HTPASSWD)
    args = ("--host", "0.0.0.0", "--htpasswd", "users")  # noqa: S104 - for a moment, with a password
    with served(*args, "-q", folder=tmp_path) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert get(f"{url}/v2/") == 401
        process.terminate()
        _, errors = finish(process)
    assert errors.startswith("warning: passwords travel unencrypted")
    assert errors.count("\n") == 1


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
def test_ipv6_and_no_requests_shown(tmp_path: Path) -> None:
    with served("--host", "::1", "--progress", "none", folder=tmp_path) as (process, url):
        assert get(url) == 200
        process.terminate()
        _, errors = finish(process)
    lines = errors.splitlines()
    assert lines[0].endswith(f" at {url}; stop with Ctrl-C")
    assert lines[1].endswith(f"push '{url.removeprefix('http://')}/notes:v1' hello.txt")
    assert lines[2:] == [f"then open {url} in a browser"]


def test_two_registries_that_begin_with_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sees that the first serves it, not that the folder is something else."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with contextlib.ExitStack() as other:

        def begin() -> None:
            other.enter_context(lock_if_free(folder / LOCK))

        done = just_before(monkeypatch, "scandir", lambda p: p == str(folder), begin)
        result = run("serve", folder, "--port", "0", code=8)
    assert done
    assert "another registry serves" in result.stderr
