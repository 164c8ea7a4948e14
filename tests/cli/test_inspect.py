"""``inspect``: files of every kind of target, installed packages, platforms that are doubted."""

import shutil
from pathlib import Path

import pytest
from anyio import run as run_async

from cli.running import run, run_json
from client.trees import make_tree, push_index
from ocipkg_async import Client

LISTING = """\
KIND        SIZE      NAME
directory   -         bin
executable  10 B      bin/run
directory   -         include
file        7 B       include/a.h
directory   -         lib
file        68.4 KiB  lib/a.txt
symlink     -         lib/b.txt -> a.txt
"""


@pytest.fixture
def archive(tree: Path, tmp_path: Path, name: str) -> Path:
    (tree / "lib" / "b.txt").symlink_to("a.txt")
    run("pack", tree, "-o", tmp_path / "a.tar", "-t", f"{name}:v1")
    return tmp_path / "a.tar"


def test_files_of_every_kind_of_target(archive: Path, name: str, tmp_path: Path) -> None:
    run("push", archive)
    run("copy", archive, f"oci:{tmp_path / 'layout'}")
    for target in (archive, f"oci:{tmp_path / 'layout'}", f"{name}:v1"):
        assert run("inspect", target, "--files").stdout == LISTING
    run("load", archive)
    shutil.rmtree(tmp_path / "layout")
    assert run("inspect", "--installed", f"{name}:v1", "--files").stdout == LISTING


def test_the_name_in_an_archive_is_told(
    archive: Path, tree: Path, tmp_path: Path, name: str
) -> None:
    assert f"\nName:      {name}:v1\n" in run("inspect", archive).stdout
    assert run_json("inspect", archive)["name"] == f"{name}:v1"
    run("pack", tree, "-o", tmp_path / "unnamed.tar")
    assert run_json("inspect", tmp_path / "unnamed.tar")["name"] is None
    run("push", archive)
    assert run_json("inspect", f"{name}:v1")["name"] is None


def test_files_as_json(archive: Path) -> None:
    layer = run_json("inspect", archive)["content"]["layers"][0]["digest"]
    found = run_json("inspect", archive, "--files")
    assert found[1] == {
        "name": "bin/run",
        "kind": "file",
        "size": 10,
        "executable": True,
        "link": None,
        "layer": layer,
    }
    assert (found[-1]["kind"], found[-1]["link"]) == ("symlink", "a.txt")


def test_titles_of_an_artifact_are_listed_with_their_layers(
    tree: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    run("push", f"{name}:v1", "include/a.h", "bin/run")
    lines = run("inspect", f"{name}:v1", "--files").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["KIND", "file", "file"]
    assert lines[0].split() == ["KIND", "SIZE", "LAYER", "NAME"]
    assert [line.split()[-1] for line in lines[1:]] == ["include/a.h", "bin/run"]


def test_an_installed_package_is_shown_without_a_registry(archive: Path, name: str) -> None:
    digest = run_json("inspect", archive)["digest"]
    run("load", archive)
    shown = run("inspect", "--installed", f"{name}:v1").stdout
    assert f"Target:    {name}:v1\nDigest:    {digest}\n" in shown
    assert "layer" in shown
    missing = run("inspect", "--installed", f"{name}:v2", code=4)
    assert "is not installed" in missing.stderr
    run("inspect", "--installed", f"{name}:v2", "--files", code=4)


def test_files_and_raw_contradict(archive: Path) -> None:
    run("inspect", archive, "--files", "--raw", code=2)


def test_limits_and_broken_archives_end_it(archive: Path, tmp_path: Path) -> None:
    assert "entries" in run("inspect", archive, "--files", "--limit", "entries=3", code=5).stderr
    run("copy", archive, f"oci:{tmp_path / 'layout'}")
    layer = run_json("inspect", archive)["content"]["layers"][0]["digest"]
    blob = tmp_path / "layout/blobs/sha256" / layer.removeprefix("sha256:")
    blob.chmod(0o600)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    broken = run("inspect", f"oci:{tmp_path / 'layout'}", "--files", code=5)
    assert "has the digest" in broken.stderr
    assert broken.stdout == ""


def test_terminal_codes_in_names_are_not_printed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "evil", {"a\x1b[31mred": b"a"})
    (tree / "l").symlink_to("a\x07")
    run("pack", tree, "-o", tmp_path / "a.tar")
    for options in ((), ("--json",)):
        shown = run("inspect", tmp_path / "a.tar", "--files", *options).stdout
        assert "red" in shown
        assert "\x1b" not in shown
        assert "\x07" not in shown


@pytest.mark.parametrize("form", ["ocipkg-v1", "ocipkg-v0"])
def test_a_platform_that_the_package_is_not_for_is_told(
    tree: Path, tmp_path: Path, form: str
) -> None:
    archive = tmp_path / "a.tar"
    run("pack", tree, "-o", archive, "--platform", "linux/arm64", "--format", form)
    told = "warning: this is no index, and for linux/arm64, not for linux/amd64\n"
    for command in (("inspect",), ("inspect", "--files"), ("resolve",)):
        assert run(*command, archive, "--platform", "linux/amd64").stderr == told
        assert run(*command, archive, "--platform", "linux/arm64").stderr == ""
        assert run(*command, archive).stderr == ""
    assert told in run("pull", archive, "-o", tmp_path / "out", "--platform", "linux/amd64").stderr


def test_a_platform_that_nothing_is_said_of_is_told(archive: Path) -> None:
    told = run("resolve", archive, "--platform", "linux/amd64").stderr
    assert "does not say whether it is for linux/amd64" in told


def test_a_config_that_cannot_be_read_is_told_and_no_more(tree: Path, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path / 'layout'}"
    run("pack", tree, "-o", layout, "--platform", "linux/amd64")
    config = run_json("inspect", layout)["content"]["config"]["digest"]
    (tmp_path / "layout/blobs/sha256" / config.removeprefix("sha256:")).unlink()
    shown = run("inspect", layout, "--platform", "linux/amd64")
    assert "its config does not say" in shown.stderr
    assert "layer" in shown.stdout


def test_files_of_an_index_are_those_of_a_platform(tmp_path: Path, name: str) -> None:
    async def push() -> None:
        async with Client() as client:
            await push_index(client, f"{name}:v1", tmp_path, ("linux/amd64", "linux/arm/v7"))

    run_async(push)
    found = run_json("inspect", f"{name}:v1", "--files", "--platform", "linux/arm/v7")
    assert [(one["name"], one["size"]) for one in found] == [("platform", len("linux/arm/v7"))]
    run("inspect", f"{name}:v1", "--files", "--platform", "plan9/386", code=4)


def test_a_mistyped_path_is_not_only_a_repository_that_fails() -> None:
    proxy = ("--retries", "0", "--plain-http", "--timeout", "5")
    for text in ("nope", "some/nope"):
        failed = run("inspect", text, *proxy, code=6)
        assert "no file or folder of this name" in failed.stderr
    run("inspect", "nope:v1", *proxy, code=6)


@pytest.mark.parametrize("form", ["ocipkg-v0", "ocipkg-v1"])
def test_annotations_of_both_formats(tree: Path, name: str, form: str) -> None:
    version = "org.opencontainers.image.version"
    run("pack", tree, "-o", f"{name}:v1", "--format", form, "-a", f"{version}=1.2")
    assert f"{version}: 1.2\n" in run("inspect", f"{name}:v1").stdout
    assert run_json("inspect", f"{name}:v1")["annotations"] == {version: "1.2"}


def test_an_image_whose_config_is_missing(tree: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    run("pack", tree, "-o", f"oci:{layout}", "--format", "ocipkg-v0", "-a", "k=v")
    found = run_json("inspect", f"oci:{layout}")
    assert found["annotations"] == {"k": "v"}
    config = found["content"]["config"]["digest"]
    (layout / "blobs" / "sha256" / config.removeprefix("sha256:")).unlink()
    assert run_json("inspect", f"oci:{layout}") == {**found, "annotations": {}}
