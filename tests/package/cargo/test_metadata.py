"""Which crate of a workspace is packed, and what its Cargo.toml says."""

import json
from typing import Any

import pytest

from ocipkg_async.errors import (
    InvalidArgumentError,
    InvalidDocumentError,
    InvalidPackageError,
    InvalidPlatformError,
)
from ocipkg_async.native import LinkMetadata
from ocipkg_async.package.cargo.metadata import Workspace, choose_crate, read_workspace
from ocipkg_async.package.cargo.options import CargoOptions

ROOT = "/work/Cargo.toml"


def crate(name: str, *kinds: str, metadata: Any = None, **more: Any) -> dict[str, Any]:
    targets = [
        {"name": name, "kind": [kind], "crate_types": ["bin" if kind == "example" else kind]}
        for kind in kinds
    ]
    return {
        "name": name,
        "version": "0.1.0",
        "id": f"path+file:///work/{name}#0.1.0",
        "manifest_path": f"/work/{name}/Cargo.toml",
        "targets": targets,
        "license": None,
        "metadata": metadata,
        **more,
    }


def workspace(*crates: dict[str, Any], metadata: Any = None) -> Workspace:
    document = {
        "packages": [*crates, crate("dependency", "staticlib")],
        "workspace_members": [one["id"] for one in crates],
        "target_directory": "/work/target",
        "workspace_root": "/work",
        "metadata": metadata,
        "version": 1,
        "resolve": None,
    }
    return read_workspace(json.dumps(document).encode())


def chosen(*crates: dict[str, Any], name: str | None = None, manifest: str = ROOT) -> str:
    return choose_crate(workspace(*crates), name=name, manifest=manifest).name


def test_the_crate_that_is_named() -> None:
    crates = crate("a", "staticlib"), crate("b", "cdylib")
    assert chosen(*crates, name="b") == "b"
    assert chosen(*crates, name="b", manifest="/work/a/Cargo.toml") == "b"
    with pytest.raises(InvalidArgumentError, match="no package 'c'") as caught:
        chosen(*crates, name="c")
    assert caught.value.hint == "it has a, b"
    with pytest.raises(InvalidArgumentError, match="no package 'dependency'"):
        chosen(*crates, name="dependency")


def test_the_crate_of_the_manifest() -> None:
    crates = crate("a", "staticlib"), crate("b", "cdylib")
    assert chosen(*crates, manifest="/work/a/Cargo.toml") == "a"


def test_the_only_crate_with_libraries() -> None:
    assert chosen(crate("a", "lib"), crate("b", "cdylib"), crate("c", "bin")) == "b"
    assert chosen(crate("a", "lib"), crate("c", "bin")) == "c"
    with pytest.raises(InvalidArgumentError, match=r"several packages.*: b, d") as caught:
        chosen(crate("d", "staticlib"), crate("b", "cdylib"), crate("c", "bin"))
    assert caught.value.hint == "choose one with -p"


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        (["lib", "example", "test", "custom-build"], "of type lib, for Rust alone"),
        (["proc-macro"], "of type proc-macro"),
        ([], "no library"),
    ],
)
def test_a_crate_with_nothing_to_pack(kinds: list[str], why: str) -> None:
    for name in ("a", None):
        with pytest.raises(InvalidPackageError, match=rf"a has nothing to pack: .*{why}") as caught:
            chosen(crate("a", *kinds), name=name, manifest="/work/a/Cargo.toml")
        assert 'crate-type = ["staticlib"]' in (caught.value.hint or "")
    with pytest.raises(InvalidPackageError, match="no package of the workspace"):
        chosen(crate("a", *kinds), crate("b", *kinds))


def test_settings_of_crate_and_workspace() -> None:
    one = crate(
        "a",
        "staticlib",
        metadata={
            "docs": {"other": "tool"},
            "ocipkg": {
                "registry": "ghcr.io/org/a",
                "headers": ["include/*.h"],
                "annotations": {"org": {"opencontainers": {"image": {"vendor": "us"}}}, "b": "2"},
                "link": {"system-libraries": ["z"], "defines": ["A=1"], "include": ["include/a"]},
            },
        },
    )
    shared = {"ocipkg": {"registry": "ghcr.io/{name}", "tag": "{version}", "annotations": {"b": "1",
                                                                                           "c": "3"}}}  # fmt: skip
    found = workspace(one, metadata=shared)
    settings = found.settings(found.members[0])
    assert (settings.registry, settings.tag) == ("ghcr.io/org/a", "{version}")
    assert settings.headers == ("include/*.h",)
    assert settings.annotations == {"org.opencontainers.image.vendor": "us", "b": "2", "c": "3"}
    assert settings.link.metadata(system_libraries=("m", "z"), frameworks=("Security",)) == (
        LinkMetadata(
            system_libraries=("z", "m"),
            frameworks=("Security",),
            defines=("A=1",),
            include=("include/a",),
        )
    )
    found = workspace(crate("a", "staticlib"), metadata=shared)
    assert found.settings(found.members[0]).registry == "ghcr.io/{name}"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"register": "x"}, "register"),
        ({"headers": "include/*.h"}, r"array.*\$\.headers"),
        ({"link": {"system-libraries": ["-lfoo"]}}, "system libraries"),
        ({"link": {"systemLibraries": ["foo"]}}, "systemLibraries"),
        ({"annotations": {"a": 1}}, r"str.*annotations"),
        ("x", "object"),
    ],
)
def test_wrong_settings_are_told_with_the_file(settings: Any, why: str) -> None:
    found = workspace(crate("a", "staticlib", metadata={"ocipkg": settings}))
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        found.settings(found.members[0])
    assert "[package.metadata.ocipkg] in /work/a/Cargo.toml" in str(caught.value)
    assert "registry, tag, annotations, headers, files, link" in (caught.value.hint or "")


def test_a_workspace_has_no_headers() -> None:
    found = workspace(crate("a", "cdylib"), metadata={"ocipkg": {"headers": ["*.h"]}})
    with pytest.raises(InvalidArgumentError, match=r"workspace\.metadata.*headers"):
        found.settings(found.members[0])


@pytest.mark.parametrize("document", [b"", b"[]", b'{"packages":[]}'])
def test_output_that_is_no_metadata(document: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="cargo metadata"):
        read_workspace(document)


def test_targets_of_one_platform() -> None:
    CargoOptions(targets=("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"))
    with pytest.raises(InvalidArgumentError, match="one platform"):
        CargoOptions(targets=("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"))
    with pytest.raises(InvalidArgumentError, match="one platform"):
        CargoOptions(targets=("x86_64-unknown-linux-gnu",) * 2)
    with pytest.raises(InvalidPlatformError):
        CargoOptions(targets=("x86_64-unknown-none",))
    with pytest.raises(InvalidArgumentError, match="for rustc"):
        CargoOptions(arguments=("--locked", "--", "-C"))
