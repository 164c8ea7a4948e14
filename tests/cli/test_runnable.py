"""``runnable``: images of real programs, which others unpack and run."""

import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.running import run, run_json
from client.trees import contents, everything
from package.raw_elf import ARM64, elf
from peers import require
from registries import RunningRegistry

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **values) {
    const char *greeting = getenv("GREETING");
    printf("%s %s\n", greeting ? greeting : "hello", count > 1 ? values[1] : "world");
    return 0;
}
"""
COMPILERS = {"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}
EMULATORS = {"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
HOST = MACHINES.get(platform.machine(), "")

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile the program for an architecture; once for each way to compile it."""
    built: dict[tuple[str, ...], Path] = {}

    def build(architecture: str, *flags: str) -> Path:
        compiler = require("gcc" if architecture == HOST else COMPILERS[architecture])
        path = built.get((compiler, *flags))
        if path is None:
            folder = tmp_path_factory.mktemp(architecture)
            (folder / "hello.c").write_text(SOURCE)
            path = folder / "hello"
            call(compiler, *flags, "-o", path, folder / "hello.c")
            built[compiler, *flags] = path
        return path

    return build


def call(*command: object) -> str:
    texts = list(map(str, command))
    done = subprocess.run(texts, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def execute(program: Path, architecture: str, *arguments: str) -> str:
    """Run a program, of another machine too."""
    before = [] if architecture == HOST else [require(EMULATORS[architecture])]
    return call(*before, program, *arguments)


def config(target: str, architecture: str) -> Any:
    """The config of an image, as skopeo reads it."""
    return json.loads(
        call(
            *(require("skopeo"), "inspect", "--config", "--tls-verify=false"),
            *("--override-os", "linux", "--override-arch", architecture, target),
        )
    )


@pytest.mark.interop
@pytest.mark.parametrize(
    ("flag", "compression"), [("-static", "gzip"), ("-static-pie", "none"), ("-static", "zstd")]
)
def test_others_unpack_and_run_it(
    build: Build, flag: str, compression: str, tmp_path: Path
) -> None:
    skopeo, umoci = require("skopeo"), require("umoci")
    if not HOST:
        pytest.skip("this machine has no compiler here")
    archive = tmp_path / "app.tar"
    image = ("-o", archive, "-t", "example.org/a/app:v1", "--compression", compression)
    run("runnable", build(HOST, flag), *image, "--env", "GREETING=good day", "--cmd", "all")
    # skopeo checks each layer against its digest, and umoci the tar against its diff_id.
    layout = f"{tmp_path / 'layout'}:app"
    call(skopeo, "copy", f"oci-archive:{archive}", f"oci:{layout}")
    found = config(f"oci:{layout}", HOST)
    assert (found["os"], found["architecture"]) == ("linux", HOST)
    assert found["config"]["Entrypoint"] == ["/hello"]
    if compression == "zstd":
        return  # umoci of Debian does not know it
    call(umoci, "unpack", "--rootless", "--image", layout, tmp_path / "bundle")
    process = json.loads((tmp_path / "bundle/config.json").read_text())["process"]
    assert process["args"] == ["/hello", "all"]
    assert "GREETING=good day" in process["env"]
    root = tmp_path / "bundle/rootfs"
    assert everything(root) == ["hello"]
    assert (root / "hello").stat().st_mode & 0o7777 == 0o755
    assert execute(root / "hello", HOST, "you") == "hello you\n"


@pytest.mark.interop
def test_programs_of_several_platforms(
    build: Build, plain_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    name = f"{plain_registry.host}/{repository_name}:v1"
    programs = {architecture: build(architecture, "-static") for architecture in COMPILERS}
    made = run("runnable", *programs.values(), "-o", name, "--name-as", "greet", "-a", "k=v")
    assert made.stdout == run("resolve", name).stdout
    for architecture, program in programs.items():
        assert config(f"docker://{name}", architecture)["architecture"] == architecture
        out = tmp_path / f"{architecture}-out"
        run("pull", name, "-o", out, "--platform", f"linux/{architecture}")
        assert contents(out) == {"greet": program.read_bytes()}
        assert execute(out / "greet", architecture) == "hello world\n"


@pytest.mark.interop
def test_ocipkg_reads_ours_and_we_read_its(build: Build, tmp_path: Path) -> None:
    ocipkg = require("ocipkg")
    if HOST not in {"amd64", "arm64"}:
        pytest.skip("ocipkg makes images for amd64 and arm64 alone")
    program = build(HOST, "-static")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    run("runnable", program, "-o", ours, "-t", "example.org/a/app:v1")
    subprocess.run([ocipkg, "load", ours], env=environment, check=True, timeout=60)
    (loaded,) = (tmp_path / "data").rglob("hello")
    assert execute(loaded, HOST) == "hello world\n"

    call(ocipkg, "runnable", program, "-o", theirs, "-t", "example.org/a/app:v2")
    # Its list of diff_ids is empty; the layer's own digest is checked all the same.
    out = tmp_path / "out"
    run("pull", theirs, "-o", out)
    assert execute(out / "hello", HOST) == "hello world\n"
    run("load", theirs)
    assert run("path", "example.org/a/app:v2").stdout
    # Its platform is in its config, so it can go into an index.
    run("index", theirs, "-o", tmp_path / "index.tar")
    (entry,) = run_json("inspect", tmp_path / "index.tar")["content"]["manifests"]
    assert entry["platform"] == {"os": "linux", "architecture": HOST}


def test_what_cannot_run_alone(build: Build, tmp_path: Path) -> None:
    if not HOST:
        pytest.skip("this machine has no compiler here")
    out = tmp_path / "out"
    out.mkdir()
    dynamic = run("runnable", build(HOST), "-o", out / "o.tar", code=5).stderr
    assert "is linked dynamically: it wants /lib" in dynamic
    assert "libc.so.6" in dynamic
    assert "-static" in dynamic
    assert "unknown-linux-musl" in dynamic
    library = build(HOST, "-shared", "-fPIC")
    assert "a shared library" in run("runnable", library, "-o", out / "o.tar", code=5).stderr
    compiled = build(HOST, "-c")
    assert "an object file" in run("runnable", compiled, "-o", out / "o.tar", code=5).stderr
    static = build(HOST, "-static")
    # Found before anything is written.
    run("runnable", static, library, "-o", f"oci:{out / 'layout'}:v1", code=5)
    assert "both for" in run("runnable", static, static, "-o", out / "o.tar", code=2).stderr
    assert [name for name in everything(out) if "blobs/sha256/" in name] == []
    assert not (out / "o.tar").exists()


def test_options(tmp_path: Path) -> None:
    program, archive = tmp_path / "program", tmp_path / "app.tar"
    program.write_bytes(elf(ARM64))
    made = run_json(
        *("runnable", program, "-o", archive, "-t", "example.org/a/app:v1", "--name-as", "app"),
        *("--env", "A=b=c", "--env", "D=", "--label", "l=m", "--user", "1:2", "--workdir", "/w"),
        *("--cmd=--serve", "--cmd", "80", "-a", "k=v"),
    )
    assert made["target"] == str(archive)
    assert made["digest"] == run("resolve", archive).stdout.strip()
    assert run("tags", archive).stdout == "example.org/a/app:v1\n"
    content = run_json("inspect", archive)["content"]
    assert content["annotations"] == {"k": "v"}
    layout = tmp_path / "layout"
    run("copy", archive, f"oci:{layout}")
    stored = layout / "blobs/sha256" / content["config"]["digest"].partition(":")[2]
    assert json.loads(stored.read_text())["config"] == {
        "User": "1:2",
        "Env": ["A=b=c", "D="],
        "Entrypoint": ["/app"],
        "Cmd": ["--serve", "80"],
        "WorkingDir": "/w",
        "Labels": {"l": "m"},
    }
    before = archive.read_bytes()
    assert "--overwrite" in run("runnable", program, "-o", archive, code=7).stderr
    assert archive.read_bytes() == before
    run("runnable", program, "-o", archive, "-f")
    assert archive.read_bytes() != before
    for wrong in (("--env", "=x"), ("--workdir", "w"), ("--name-as", "a/b"), ("--label", "l")):
        run("runnable", program, "-o", tmp_path / "o.tar", *wrong, code=2)
    assert not (tmp_path / "o.tar").exists()
