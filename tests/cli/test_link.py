"""``link``: what it prints for whom, the files it writes, and how it refuses."""

import json
import os
from pathlib import Path

import pytest

from cli.running import run, run_json
from ocipkg_async.spec import Platform

# A static library for Linux on amd64 is told by the header of its only member.
_ELF = (
    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\x00\x3e\x00\x01\x00\x00\x00" + bytes(24)
    + bytes(4) + b"\x40\x00" + bytes(10)
)  # fmt: skip
LINUX = ("--target", "linux/amd64")


def archive(member: bytes) -> bytes:
    """A Unix archive of one member."""
    header = b"a.o/".ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"644".ljust(8)
    return b"!<arch>\n" + header + str(len(member)).encode().ljust(10) + b"`\n" + member


@pytest.fixture
def package(name: str, tmp_path: Path) -> str:
    """A package with one static library and a header, in the registry."""
    folder = tmp_path / "built"
    for path, data in (("lib/libfoo.a", archive(_ELF)), ("include/foo.h", b"int foo(void);\n")):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(data)
    notes = tmp_path / "ocipkg.toml"
    notes.write_text('[link]\nsystem-libraries = ["m"]\ndefines = ["FOO=1"]\n')
    run("pack", folder, "-o", f"{name}:1.2", "--metadata", notes, "--platform", "linux/amd64", "-q")
    return f"{name}:1.2"


def path_of(package: str) -> str:
    platform = (
        () if Platform.host() == Platform.parse("linux/amd64") else ("--platform", "linux/amd64")
    )
    return run("path", package, *platform).stdout.strip()


def test_shell_line_is_alone_on_stdout(package: str) -> None:
    linked = run("link", package, "--for", "shell", *LINUX)
    path = path_of(package)
    assert linked.stdout == f"-I{path}/include -DFOO=1 {path}/lib/libfoo.a -lm\n"
    assert "downloaded" in linked.stderr
    assert run("link", package, "--for", "shell", *LINUX).stderr == "", "it is installed now"


def test_cargo_builds_for_its_target(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGET", "x86_64-unknown-linux-gnu")
    lines = run("link", package, "--for", "cargo").stdout.splitlines()
    assert "cargo:rustc-link-lib=static=foo" in lines
    assert all(line.startswith("cargo:") for line in lines)
    monkeypatch.setenv("TARGET", "aarch64-apple-darwin")
    wrong = run("link", package, "--for", "cargo", code=4)
    assert wrong.stdout == ""
    assert "linux/amd64" in wrong.stderr
    assert "darwin/arm64" in wrong.stderr
    run("link", package, "--for", "cargo", *LINUX)


def test_only_cargo_looks_at_its_variable(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGET", "aarch64-apple-darwin")
    run("link", package, "--for", "env", *LINUX)
    linked = run_json("link", package, "--for", "json", *LINUX)
    assert linked["platform"] == "linux/amd64"


def test_json_is_the_same_by_either_option(package: str) -> None:
    document = json.loads(run("link", package, "--for", "json", *LINUX).stdout)
    assert document["path"] == path_of(package)
    assert [one["name"] for one in document["libraries"]] == ["foo"]
    assert run_json("link", package, "--for", "shell", *LINUX) == document


@pytest.mark.parametrize(
    ("build_system", "files"),
    [
        ("cmake", ["foo-config-version.cmake", "foo-config.cmake"]),
        ("pkg-config", ["foo.pc"]),
        ("meson", ["meson.build"]),
    ],
)
def test_files_are_written_and_replaced(
    build_system: str,
    files: list[str],
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "new" / "out"
    link = ("link", package, "--for", build_system, *LINUX, "-o", "new/out", "--name", "foo")
    assert run(*link).stdout == f"{out}\n"
    assert sorted(path.name for path in out.iterdir()) == files
    before = {path: (path.read_text(), path.stat().st_mtime_ns) for path in out.iterdir()}
    assert run_json(*link)["output"] == str(out)
    after = {path: (path.read_text(), path.stat().st_mtime_ns) for path in out.iterdir()}
    assert after == before, "what did not change makes nobody configure again"
    changed = out / files[0]
    changed.write_text(before[changed][0] + "# changed\n")
    run(*link)
    assert changed.read_text() == before[changed][0]


def test_files_of_others_are_not_replaced(package: str, tmp_path: Path) -> None:
    (tmp_path / "meson.build").write_text("project('mine')\n")
    refused = run("link", package, "--for", "meson", *LINUX, "-o", tmp_path, code=7)
    assert refused.stdout == ""
    assert f"{tmp_path / 'meson.build'} exists" in refused.stderr
    assert (tmp_path / "meson.build").read_text() == "project('mine')\n"


@pytest.mark.parametrize("kind", ["pipe", "link", "link to nowhere"])
def test_what_is_no_file_of_ours_is_neither_read_nor_replaced(
    kind: str, package: str, tmp_path: Path
) -> None:
    place = tmp_path / "meson.build"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / "elsewhere")
    if kind == "link":
        (tmp_path / "elsewhere").write_text("# Written by ocipkg-async link\n")
    refused = run("link", package, "--for", "meson", *LINUX, "-o", tmp_path, code=7)
    assert f"{place} exists" in refused.stderr
    assert not place.is_file() or place.is_symlink()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--for", "cmake"], "-o DIR"),
        (["--for", "meson"], "-o DIR"),
        (["--for", "pkg-config"], "-o DIR"),
        (["--for", "cargo", "-o", "x"], "-o is for cmake, meson, pkg-config"),
        (["--for", "json", "--name", "x"], "--name is for cmake, meson, pkg-config"),
        (["--for", "env", "--rpath"], "--rpath is not for env"),
        (["--for", "cmake", "-o", "x", "--rpath"], "--rpath is not for cmake"),
        (["--for", "cmake", "-o", "x", "--name", "a/b"], "not a name"),
        (["--for", "shell", "--target", "/"], "not a platform"),
        (["--for", "make"], "'make' is not one of"),
        ([], "Missing option '--for'"),
    ],
)
def test_wrong_use(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("link", "127.0.0.1:1/a:v1", *options, code=2)
    assert refused.stdout == ""
    assert said in refused.stderr
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "store"])


def test_no_library_of_that_kind(package: str) -> None:
    refused = run("link", package, "--for", "shell", "--kind", "dynamic", *LINUX, code=4)
    assert refused.stdout == ""
    assert "lib/libfoo.a is static" in refused.stderr
    assert "hint: " in refused.stderr


def test_locked_and_offline(
    package: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    link = ("link", package, "--for", "cargo", *LINUX, "--locked")
    run(*link, code=4)
    run("lock", package)
    run(*link, "--offline", code=4)
    lines = run(*link).stdout.splitlines()
    assert f"cargo:rerun-if-changed={tmp_path / 'ocipkg.lock'}" in lines
    assert run(*link, "--offline").stdout.splitlines() == lines
    run("pack", tree, "-o", package, "-q")  # the tag moves
    assert run(*link, "--offline").stdout.splitlines() == lines
