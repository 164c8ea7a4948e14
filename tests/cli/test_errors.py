"""How commands fail: exit codes, messages and what to do next."""

import resource
import sys
from pathlib import Path

import pytest

from cli.running import run
from client.trees import everything, make_tree
from ocipkg_async import errors
from ocipkg_async.cli.exit_codes import exit_code
from ocipkg_async.testing import RunningRegistry


def failed(*args: object, code: int) -> list[str]:
    """Run a command that fails; return the lines of standard error, without progress."""
    result = run(*args, "-q", code=code)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    return lines


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["get", "not a reference"], 2),
        (["get", "ghcr.io/a/b:v1", "--platform", "/"], 2),
        (["pack", "{tree}", "-o", "out"], 2),
        (["pack", "{tree}", "-o", "a.io/b:c", "-t", "a.io/b:d"], 2),
        (["pack", "{tree}", "-o", "x.tar.gz"], 2),
        (["push", "ghcr.io/a/b:v1"], 2),
        (["push", "ghcr.io/a/b:v1", "--artifact-type", "a/b"], 2),
        (["push", "a.io/b:v1", "{tree}/lib", "--to", "a.io/c"], 2),
        (["push", "a.io/b:v1", "/etc/passwd"], 2),
        (["push", "typo", "{tree}/lib"], 2),
        (["push", "a.io/b:v1", "{tree}/lib", "--artifact-type", "text"], 2),
        (["get", "a.io/b", "--client-key", "{tree}/lib/a.txt"], 2),
        (["login", "a.io"], 2),
        (["login", "a.io", "--password-stdin"], 2),
        (["pack", "{tree}/nothing", "-o", "x.tar"], 4),
        (["push", "x.tar"], 4),
        (["load", "./x"], 4),
        (["path", "ghcr.io/a/b:v1"], 4),
        (["remove", "ghcr.io/a/b:v1"], 4),
        (["load", "{tree}/lib/a.txt"], 2),
        (["load", "oci-archive:{tree}/lib/a.txt"], 5),
        (["inspect", "oci:{tree}"], 5),
        (["pack", "{tree}", "-o", "no/folder/x.tar"], 8),
    ],
)
def test_exit_codes(
    args: list[str], code: int, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    failed(*(arg.format(tree=tree) for arg in args), code=code)
    assert [p for p in everything(tmp_path) if not p.startswith("store")] == before


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"],
        ["get"],
        ["get", "--nothing"],
        ["pack", "x"],
        ["pack", "x", "-o", "y", "--compression", "rar"],
        ["pack", "x", "-o", "y", "-a", "no pair"],
        ["push", "x", "--chunk-size", "0"],
        ["get", "x", "--max-manifest-size", "many"],
        ["get", "x", "--concurrency", "0"],
        ["serve", "x", "--port", "65536"],
    ],
)
def test_wrong_use_says_how_to_get_help(args: list[str]) -> None:
    result = run(*args, code=2)
    assert result.stdout == ""
    assert "Try 'ocipkg-async" in result.stderr
    assert "--help" in result.stderr


def test_not_found_in_a_registry(name: str) -> None:
    lines = failed("get", f"{name}:v1", code=4)
    assert lines == [
        f"error: there is no {name}:v1",
        f"hint: list the tags with: ocipkg-async tags {name}",
    ]


@pytest.mark.interop
def test_login_needed(htpasswd_registry: RunningRegistry) -> None:
    lines = failed("tags", f"{htpasswd_registry.host}/a", code=3)
    assert lines[-1].startswith("hint: log in")


def test_conflict(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    run("pack", tree, "-o", archive, "-t", "a.io/b:v1")
    for args in (
        ("pack", tree, "-o", archive),
        ("copy", archive, f"oci-archive:{archive}"),
        ("pull", archive, "-o", tree),
    ):
        assert "--overwrite" in failed(*args, code=7)[-1]
        run(*args, "--overwrite")


def test_damaged_archive(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    run("pack", tree, "-o", archive, "-t", "a.io/b:v1")
    data = bytearray(archive.read_bytes())
    at = data.index(b"\x1f\x8b") + 30
    data[at] ^= 1
    archive.write_bytes(data)
    lines = failed("load", archive, code=5)
    assert any(line.startswith("hint: ") for line in lines)
    run("list")


def test_wrong_bytes_from_a_registry(oci_registry: RunningRegistry, tree: Path) -> None:
    host, faults = oci_registry.host, oci_registry.faults
    run("pack", tree, "-o", f"{host}/a:v1")
    faults.when = lambda _method, path: "/blobs/" in path
    faults.wrong_bytes = True
    lines = failed("get", f"{host}/a:v1", code=5)
    assert "digest" in lines[0]
    assert lines[-1].startswith("hint: fetch it again")
    assert run("list").stdout == ""


def test_network(oci_registry: RunningRegistry) -> None:
    host, faults = oci_registry.host, oci_registry.faults
    faults.refuse_next, faults.refuse_status = 100, 418
    assert "418" in failed("tags", f"{host}/a", code=6)[0]
    lines = failed("tags", f"{host}/a", "--https", code=6)
    assert "does not speak TLS" in lines[0]
    assert lines[-1].startswith("hint: ")


def test_tries_and_time_are_bounded(oci_registry: RunningRegistry) -> None:
    host, faults = oci_registry.host, oci_registry.faults
    faults.refuse_next, faults.refuse_status = 1, 503
    assert "503" in failed("tags", f"{host}/a", "--retries", "0", code=6)[0]
    failed("tags", f"{host}/a", code=4)  # it answers again
    faults.refuse_next = 1000
    lines = failed("tags", f"{host}/a", "--timeout", "0.2", "--retries", "1000", code=6)
    assert "503" in lines[0] or "not finished within 0.2 s" in lines[0]
    assert lines[-1].startswith("hint: ")


def test_access_denied(oci_registry: RunningRegistry) -> None:
    host, faults = oci_registry.host, oci_registry.faults
    faults.refuse_next, faults.refuse_status = 100, 403
    failed("tags", f"{host}/a", code=3)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_full_disk(name: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": bytes(3 << 20)})
    run("pack", tree, "-o", f"{name}:v1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        lines = failed("pull", f"{name}:v1", "-o", tmp_path / "out", code=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in lines[-1]
    assert not (tmp_path / "out").exists()


def test_several_errors_have_one_code_if_they_agree() -> None:
    missing, late = errors.NotFoundError("a"), errors.TimedOutError("b")
    assert exit_code(errors.MultipleErrors("x", errors=[missing, missing])) == 4
    assert exit_code(errors.MultipleErrors("x", errors=[missing, late])) == 1
    assert exit_code(errors.ClosedError("x")) == 1


def test_control_characters_of_others_are_not_printed(tmp_path: Path) -> None:
    (line, *_) = failed("push", f"./\x1b[31m{tmp_path.name}", code=4)
    assert "\x1b" not in line


def test_limit_can_be_moved(tree: Path, tmp_path: Path) -> None:
    archive, store = tmp_path / "a.tar", tmp_path / "store"
    run("pack", tree, "-o", archive, "-t", "a.io/b:c", "-q")
    pull = ["pull", archive, "-o", tmp_path / "out"]
    for command in (pull, ["load", archive, "--store", store]):
        assert "--limit entries=NUMBER" in failed(*command, "--limit", "entries=1", code=5)[-1]
        run(*command, "--limit", "entries=1000", "--limit", "ratio=2000", "-q")


@pytest.mark.parametrize("text", ["nothing=1", "entries", "entries=0", "entries=-1", "entries=x"])
def test_limit_that_is_none(text: str) -> None:
    result = run("verify", "--limit", text, code=2)
    assert "limit" in result.stderr


@pytest.mark.parametrize(("theirs", "ours"), [("compose", "pack"), ("image-directory", "path")])
def test_what_ocipkg_calls_otherwise(theirs: str, ours: str) -> None:
    assert f"it is '{ours}' here" in run(theirs, "x", code=2).stderr


def test_a_package_without_a_name(tree: Path, tmp_path: Path) -> None:
    run("pack", tree, "-o", tmp_path / "a.tar")
    for command in ("push", "load"):
        _, hint = failed(command, tmp_path / "a.tar", code=2)
        assert "--to for push, -t for load" in hint
