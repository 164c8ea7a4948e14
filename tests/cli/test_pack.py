"""``pack``: names, metadata files, platforms and formats, as a user gives them."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.running import run, run_json
from client.trees import contents

IMAGE = "org.opencontainers.image"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a library, as the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "libfoo-1.a").write_bytes(b"objects")
    (folder / "foo.h").write_bytes(b"int foo(void);\n")
    monkeypatch.chdir(folder)
    return folder


def packed(*args: object) -> tuple[dict[str, Any], str]:
    """Pack, and return the manifest with what was said on standard error."""
    result = run("pack", *args, "-o", "a.tar", "-f")
    manifest: dict[str, Any] = run_json("inspect", "a.tar")["content"]
    return manifest, result.stderr


def config_of(manifest: dict[str, Any]) -> dict[str, Any]:
    run("copy", "a.tar", "oci:layout")
    hexadecimal = manifest["config"]["digest"].removeprefix("sha256:")
    config: dict[str, Any] = json.loads(Path("layout/blobs/sha256", hexadecimal).read_bytes())
    return config


def test_names_of_its_own(tmp_path: Path) -> None:
    names = ("--name-as", "lib/libfoo.a=libfoo-1.a", "--name-as", "include/foo.h=foo.h")
    packed(*names)
    run("pull", "a.tar", "-o", tmp_path / "out")
    assert contents(tmp_path / "out") == {
        "include/foo.h": b"int foo(void);\n",
        "lib/libfoo.a": b"objects",
    }


def test_names_that_are_refused() -> None:
    run("pack", "-o", "a.tar", code=2)
    twice = ("--name-as", "a=foo.h", "--name-as", "a=libfoo-1.a")
    assert "foo.h and libfoo-1.a would both" in run("pack", *twice, "-o", "a.tar", code=2).stderr
    run("pack", "--name-as", "../a=foo.h", "-o", "a.tar", code=2)
    assert "name=path" in run("pack", "--name-as", "foo.h", "-o", "a.tar", code=2).stderr
    run("pack", "--name-as", "a=missing", "-o", "a.tar", code=4)
    assert (
        "would be"
        in run("pack", "foo.h", "--name-as", "foo.h/x=foo.h", "-o", "a.tar", code=5).stderr
    )
    assert not Path("a.tar").exists()


def test_the_metadata_file_that_lies_here_is_read_and_named() -> None:
    Path("ocipkg.toml").write_text(
        f'[{IMAGE}]\ntitle = "t"\nversion = "1"\n[link]\nlibraries = ["foo"]\n'
    )
    manifest, said = packed("libfoo-1.a", "-a", f"{IMAGE}.version=2")
    assert manifest["annotations"] == {f"{IMAGE}.title": "t", f"{IMAGE}.version": "2"}
    assert "ocipkg.toml" in said
    assert config_of(manifest)["link"] == {"libraries": ["foo"]}
    manifest, said = packed("libfoo-1.a", "--no-metadata")
    assert "annotations" not in manifest
    assert "ocipkg.toml" not in said


def test_a_metadata_file_that_is_named() -> None:
    Path("ocipkg.toml").write_text(f'[{IMAGE}]\nvendor = "v"\n')
    Path("pyproject.toml").write_text('[project]\nname = "p"\n')
    manifest, _ = packed("libfoo-1.a", "--metadata", "pyproject.toml")
    assert manifest["annotations"] == {f"{IMAGE}.title": "p"}
    both = ("--metadata", "pyproject.toml", "--no-metadata")
    run("pack", "libfoo-1.a", *both, "-o", "b.tar", code=2)
    run("pack", "libfoo-1.a", "--metadata", "missing.toml", "-o", "b.tar", code=4)


def test_a_broken_metadata_file_ends_it() -> None:
    Path("ocipkg.toml").write_text("[link]\nlibs = []\n")
    failed = run("pack", "libfoo-1.a", "-o", "b.tar", code=5)
    assert failed.stderr.startswith("error: ocipkg.toml: link.libs is not known\nhint: there are")
    assert not Path("b.tar").exists()


def test_platform() -> None:
    manifest, _ = packed("libfoo-1.a", "--platform", "aarch64-unknown-linux-gnu")
    assert config_of(manifest)["platform"] == {"os": "linux", "architecture": "arm64"}
    run("pack", "libfoo-1.a", "--platform", "x/y/z/w", "-o", "b.tar", code=2)


def test_format_v0_is_an_image() -> None:
    v0 = ("--format", "ocipkg-v0", "--platform", "linux/arm64")
    manifest, _ = packed("libfoo-1.a", *v0, "-a", "k=v")
    assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    config = config_of(manifest)
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert config["config"] == {"Labels": {"k": "v"}}
    zstd = run("pack", "libfoo-1.a", *v0, "--compression", "zstd", "-o", "b.tar", code=1)
    assert "ocipkg-v1" in zstd.stderr
    Path("ocipkg.toml").write_text('[link]\nlibraries = ["foo"]\n')
    run("pack", "libfoo-1.a", *v0, "-o", "b.tar", code=2)
