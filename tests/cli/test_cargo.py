"""``cargo build`` and ``cargo publish`` as people run them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.running import Terminal, finish, run, run_json, start
from client.trees import contents
from ocipkg_async.spec import Digest, Platform
from package.cargo.crates import append, make_static
from package.cargo.processes import is_running
from package.cargo.repository import commit_all
from peers import require
from registries import RunningRegistry

REF = "ghcr.io/org/foo:v1"


@pytest.fixture(autouse=True)
def cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return require("cargo")


@pytest.fixture
def crate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_static(tmp_path / "crate")
    monkeypatch.chdir(folder)
    return folder


def test_build(crate: Path, tmp_path: Path) -> None:
    archive = crate / "target/ocipkg/foo-0.1.0.tar"
    built = run("cargo", "build", "-t", REF)
    assert built.stdout == f"{archive}\n"
    assert "Compiling foo v0.1.0" in built.stderr
    digest = run_json("resolve", archive)["digest"]
    assert built.stderr.splitlines()[-1] == f"{REF}@{digest}"
    other = tmp_path / "other.tar"
    found = run_json("cargo", "build", "-q", "-t", REF, "-o", other, "-a", "a=b", "--release")
    document = run_json("inspect", other)["content"]
    assert found == {
        "crate": "foo",
        "version": "0.1.0",
        "target": str(other),
        "name": REF,
        "platforms": [str(Platform.host())],
        "mediaType": document["mediaType"],
        "digest": run_json("resolve", other)["digest"],
        "size": found["size"],
    }
    assert document["annotations"]["a"] == "b"
    run("cargo", "build", "-t", REF, "-o", other, code=7)
    run("cargo", "build", "-t", REF, "-o", other, "-f", "--", "--offline", "--jobs", "1")


def test_publish(crate: Path, name: str, tmp_path: Path) -> None:
    append(crate / "Cargo.toml", f'[package.metadata.ocipkg]\nregistry = "{name}"\n')
    commit = commit_all(crate)
    published = run("cargo", "publish")
    reference, _, digest = published.stdout.strip().partition("@")
    assert reference == f"{name}:{commit[:7]}"
    assert run("resolve", reference).stdout == f"{Digest(digest)}\n"
    assert not (crate / "target/ocipkg").exists()
    assert list(contents(Path(run("get", reference).stdout.strip()))) == ["libfoo.a"]
    assert run_json("cargo", "publish", "-t", f"{name}:v2")["name"] == f"{name}:v2"
    assert run("tags", name).stdout.split() == sorted([commit[:7], "v2"])

    (crate / "src/lib.rs").write_text("")
    refused = run("cargo", "publish", code=2)
    assert "src/lib.rs" in refused.stderr
    assert "--allow-dirty" in refused.stderr
    (crate / "src/lib.rs").write_text("compile error")
    run("cargo", "publish", "--allow-dirty", code=101)
    assert run("tags", name).stdout.split() == sorted([commit[:7], "v2"])


def test_a_compile_error_ends_with_cargo_s_message_and_status(crate: Path) -> None:
    (crate / "src/lib.rs").write_text("compile error")
    for flags in ((), ("-q",), ("--progress", "json")):
        failed = run("cargo", "build", "-t", REF, *flags, code=101)
        assert failed.stdout == ""
        assert failed.stderr.count("error: expected one of `!` or `::`, found `error`") == 1
        assert "error: could not compile `foo`" in failed.stderr
        assert failed.stderr.splitlines()[-1].startswith("error: cargo rustc failed")
    assert not (crate / "target/ocipkg").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
def test_on_a_terminal(crate: Path) -> None:
    (crate / "src/lib.rs").write_text("compile error")
    terminal = Terminal("cargo", "build", "-t", REF)
    assert terminal.end() == 101
    assert "\x1b[" in terminal.shown.partition("expected one of")[0].rpartition("\n")[2]
    assert "\N{REPLACEMENT CHARACTER}" not in terminal.shown


def test_contradictions_and_unknown_things(crate: Path) -> None:
    def hint(*arguments: str, code: int) -> str:
        return run("cargo", "build", *arguments, code=code).stderr

    assert "[package.metadata.ocipkg]" in hint(code=2)
    assert "it has foo" in hint("-t", REF, "-p", "bar", code=2)
    assert "contradict" in hint("-t", REF, "--release", "--profile", "dev", code=2)
    assert "names no file" in hint("-t", REF, "--headers", "include/*.h", code=2)
    assert "one platform" in hint(
        *("-t", REF, "--target", "x86_64-unknown-linux-gnu"),
        *("--target", "x86_64-unknown-linux-musl"),
        code=2,
    )
    assert "nowhere/Cargo.toml" in hint(
        "-t", REF, "--manifest-path", "nowhere/Cargo.toml", code=101
    )
    (crate / "Cargo.toml").write_text("[package\n")
    run("cargo", "build", "-t", REF, code=101)


def test_help_of_both() -> None:
    for verb in ("build", "publish"):
        text = run("cargo", verb, "--help").stdout
        assert text.startswith(f"Usage: ocipkg-async cargo {verb} [OPTIONS] [-- CARGO_ARGUMENT...]")
        assert text.index("--manifest-path") < text.index("--json") < text.index("--authfile")
        assert ("--output" in text) == (verb == "build")
    assert run("cargo", "--help").stdout.count("\n  build ") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_cargo_too(crate: Path) -> None:
    script = """fn main() {
        std::fs::write("started", std::process::id().to_string()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
    }"""
    (crate / "build.rs").write_text(script)
    process = start("cargo", "build", "-t", REF)
    started = crate / "started"
    while process.poll() is None and not (started.exists() and started.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = finish(process)
    assert process.returncode == 130, stderr
    while is_running(int(started.read_text())):  # until it is adopted
        time.sleep(0.01)
    assert not (crate / "target/ocipkg").exists()


@pytest.mark.interop
def test_ocipkg_loads_and_pushes_what_is_built(
    crate: Path, plain_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    ocipkg = require("ocipkg")
    # ocipkg speaks plain HTTP to hosts that begin with localhost only.
    name = f"{plain_registry.host.replace('127.0.0.1', 'localhost')}/{repository_name}:v1"
    archive = run("cargo", "build", "-t", name).stdout.strip()
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    for verb in ("load", "push"):
        subprocess.run([ocipkg, verb, archive], env=environment, check=True, timeout=60)
    (library,) = (tmp_path / "data").rglob("libfoo.a")
    assert library.read_bytes() == (crate / "target/debug/libfoo.a").read_bytes()
    assert json.loads(run("inspect", "--raw", name).stdout)["annotations"] == {
        "org.opencontainers.image.title": "foo",
        "org.opencontainers.image.version": "0.1.0",
    }
