"""What each command does and prints: results alone on standard output, one document as JSON."""

import json
from pathlib import Path

import pytest

from cli.running import run, run_json
from client.trees import FILES, contents, make_tree
from ocipkg_async.spec import Digest


@pytest.fixture
def digest(tree: Path, name: str) -> str:
    """A package in the registry."""
    return run("pack", tree, "-o", f"{name}:v1").stdout.strip()


def test_pack(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    packed = run("pack", tree, "-o", archive, "-t", "ghcr.io/a/b:v1", "-a", "k=v=w")
    assert Digest(packed.stdout.strip())
    assert packed.stderr == f"packed {archive} (68.4 KiB)\n"
    found = run_json("inspect", archive)["content"]
    assert found["annotations"] == {"k": "v=w"}
    other = run_json("pack", tree, "-o", f"oci:{tmp_path / 'layout'}", "-a", "k=v=w")
    assert other["digest"] == packed.stdout.strip()
    assert other["target"] == f"oci:{tmp_path / 'layout'}"
    zstd = run_json(
        "pack", tree, "-o", tmp_path / "z.tar", "--compression", "zstd", "--level", "1", "-q"
    )
    assert zstd["digest"] != other["digest"]


def test_push(tree: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.tar"
    digest = run("pack", tree, "-o", archive, "-t", f"{name}:v1").stdout.strip()
    assert run("push", archive).stdout == f"{name}:v1@{digest}\n"
    assert run("push", archive, "--to", f"{name}:v2", "--chunk-size", "1K").stdout == (
        f"{name}:v2@{digest}\n"
    )
    (pushed,) = run_json("push", archive)
    assert (pushed["reference"], pushed["tag"]) == (f"{name}@{digest}", "v1")
    assert run("tags", name).stdout == "v1\nv2\n"


def test_push_files_and_pull(
    tree: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    run("push", f"{name}:v1", "include/a.h:text/x-c", "lib", "--artifact-type", "a/b", "-a", "k=v")
    content = run_json("inspect", f"{name}:v1")["content"]
    assert (content["artifactType"], content["annotations"]["k"]) == ("a/b", "v")
    out = tmp_path / "out"
    pulled = run("pull", f"{name}:v1", "-o", out)
    assert pulled.stdout == f"{out}: 2 files, 68.4 KiB\n"
    assert contents(out) == {k: v for k, v in FILES.items() if not k.startswith("bin")}
    found = run_json("pull", f"{name}:v1", "-o", tmp_path / "packed", "--unpack", "never")
    assert found["files"] == 2
    assert (tmp_path / "packed/lib").is_file()


def test_get_prints_the_path_alone(digest: str, name: str) -> None:
    got = run("get", f"{name}:v1")
    path = Path(got.stdout.removesuffix("\n"))
    assert contents(path) == FILES
    assert "downloaded" in got.stderr
    again = run("get", f"{name}:v1")
    assert again.stdout == got.stdout
    assert "downloaded" not in again.stderr
    assert run("path", f"{name}:v1").stdout == got.stdout
    assert run("get", "-q", f"{name}@{digest}").stderr == ""
    found = run_json("get", f"{name}:v1")
    assert found == run_json("path", f"{name}:v1")
    assert (found["digest"], found["path"]) == (digest, str(path))


def test_list_remove_prune_verify(digest: str, name: str, store: Path) -> None:
    empty = run("list")
    assert empty.stdout == ""
    assert "ocipkg-async get" in empty.stderr
    assert run_json("list") == []
    run("get", f"{name}:v1")
    header, row = run("list").stdout.splitlines()
    assert header.split() == ["NAME", "DIGEST", "SIZE"]
    assert row.split()[:2] == [f"{name}:v1", Digest(digest).short]
    assert header.index("DIGEST") == row.index(Digest(digest).short)
    assert run_json("list")[0]["reference"] == f"{name}:v1"
    clean = run("verify")
    assert (clean.stdout, clean.stderr) == ("", "everything is as it should be\n")
    assert run_json("verify") == []
    path = Path(run_json("path", f"{name}:v1")["path"])
    (path / "lib/a.txt").write_bytes(b"changed")
    broken = run("verify", code=5)
    assert broken.stdout == f"{name}:v1: lib/a.txt: has 7 bytes instead of 70000\n"
    assert "remove it and get it again" in broken.stderr
    assert run_json("verify", code=5)[0]["what"] == f"{name}:v1"
    removed = run("remove", f"{name}:v1")
    assert (removed.stdout, removed.stderr) == ("", f"removed {name}:v1\n")
    assert run("prune").stdout == "removed 0 folders, 0 blobs and 0 left-overs (0 B)\n"
    (store / "layout/blobs/sha256" / ("0" * 64)).write_bytes(b"x")
    assert run("prune").stdout == "removed 0 folders, 1 blob and 0 left-overs (1 B)\n"
    assert run_json("prune") == {
        "removed": [],
        "packages": 0,
        "blobs": 0,
        "leftovers": 0,
        "bytes": 0,
        "dryRun": False,
    }


def test_store_option(digest: str, name: str, tmp_path: Path, store: Path) -> None:
    got = run("get", f"{name}:v1", "--store", tmp_path / "other")
    assert Path(got.stdout).is_relative_to(tmp_path / "other")
    assert not store.exists()


def test_save_and_load(digest: str, name: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    assert run("save", f"{name}:v1", "-o", archive).stdout == f"{digest}\n"
    assert run_json("save", f"{name}:v1", "-o", archive, "-f")["digest"] == digest
    loaded = run("load", archive)
    assert contents(Path(loaded.stdout.strip())) == FILES
    (other,) = run_json("load", archive, "-t", "example.org/a:v1")
    assert other["reference"] == "example.org/a:v1"


def test_copy(digest: str, name: str, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path / 'layout'}"
    copied = run("copy", f"{name}:v1", layout)
    assert copied.stdout == f"{digest}\n"
    assert copied.stderr.splitlines()[-1].startswith("copied 3 blobs and manifests (")
    again = run_json("copy", f"{name}:v1", layout, "--deep")
    assert (again["copied"], again["bytes"], again["digest"]) == (0, 0, digest)
    assert run("tags", layout).stdout == f"{name}:v1\n"


def test_inspect(digest: str, name: str) -> None:
    text = run("inspect", f"{name}:v1").stdout
    assert f"Target:    {name}:v1\nDigest:    {digest}\n" in text
    rows = [line.split() for line in text.splitlines()[-3:]]
    assert [row[0] for row in rows] == ["CONTENT", "config", "layer"]
    raw = run("inspect", "--raw", f"{name}:v1").stdout_bytes
    assert Digest.of(raw) == digest
    found = run_json("inspect", f"{name}:v1")
    assert found["content"] == json.loads(raw)
    assert (found["digest"], found["size"]) == (digest, len(raw))


def test_resolve_tag_tags(digest: str, name: str) -> None:
    assert run("resolve", f"{name}:v1").stdout == f"{digest}\n"
    tagged = run("tag", f"{name}:v1", "v1.0", "latest")
    assert (tagged.stdout, tagged.stderr) == (f"{digest}\n", "tagged v1.0, latest\n")
    assert run_json("tag", f"{name}:v1", "x")["tags"] == ["x"]
    assert run_json("resolve", name)["digest"] == digest
    assert run_json("tags", name) == ["latest", "v1", "v1.0", "x"]


def test_index(tmp_path: Path, name: str) -> None:
    """An index made by other means; its manifests are listed, and chosen by platform."""
    from anyio import run as run_async

    from client.trees import push_index
    from ocipkg_async import Client

    async def push() -> None:
        async with Client() as client:
            await push_index(client, f"{name}:v1", tmp_path, ("linux/amd64", "linux/arm/v7"))

    run_async(push)
    text = run("inspect", f"{name}:v1").stdout
    assert [line.split()[0] for line in text.splitlines()[-3:]] == [
        "PLATFORM",
        "linux/amd64",
        "linux/arm/v7",
    ]
    got = run("get", f"{name}:v1", "--platform", "linux/arm/v7")
    assert contents(Path(got.stdout.strip())) == {"platform": b"linux/arm/v7"}
    assert "(linux/arm/v7)" in run("list").stdout
    run("path", f"{name}:v1", code=4)
    run("path", f"{name}:v1", "--platform", "linux/arm/v7")
    wrong = run("get", f"{name}:v1", "--platform", "plan9/386", code=4)
    assert "linux/arm/v7; choose with --platform or --target" in wrong.stderr


def test_terminal_codes_of_others_are_not_printed(tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path / "evil", {"a": b"a"})
    run("pack", tree, "-o", f"{name}:v1", "-a", "note=\x1b[31mred\x07")
    shown = run("inspect", f"{name}:v1").stdout
    assert "red" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_logs_requests(
    verbose: bool, digest: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    run("resolve", f"{name}:v1", *(["-v"] if verbose else []))
    assert any("manifests/v1" in record.getMessage() for record in caplog.records)
