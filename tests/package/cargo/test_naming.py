"""The name and the annotations of a crate's package."""

import pytest

from ocipkg_async.errors import InvalidArgumentError, InvalidReferenceError, NotFoundError
from ocipkg_async.package.cargo.metadata import Crate
from ocipkg_async.package.cargo.naming import (
    Revision,
    check_clean,
    crate_annotations,
    package_reference,
)
from ocipkg_async.package.cargo.settings import CrateSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLEAN = Revision(commit=COMMIT)
DIRTY = Revision(commit=COMMIT, changes=("src/lib.rs",))
UNBORN = Revision(commit=None)


def crate(**more: object) -> Crate:
    fields = {"name": "foo", "version": "1.2.0", "id": "i", "manifest_path": "/w/Cargo.toml"}
    return Crate(**{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("registry", "tag", "revision", "name"),
    [
        ("ghcr.io/org/foo", None, CLEAN, "ghcr.io/org/foo:0123456"),
        ("ghcr.io/org/foo", None, DIRTY, "ghcr.io/org/foo:0123456-dirty"),
        ("ghcr.io/org/foo", None, None, "ghcr.io/org/foo:1.2.0"),
        ("ghcr.io/org/foo", "v{version}", UNBORN, "ghcr.io/org/foo:v1.2.0"),
        ("ghcr.io/org/{name}", "{name}-{version}-{commit}", CLEAN,
         "ghcr.io/org/foo:foo-1.2.0-0123456"),
        ("localhost:5000/a/b", "fixed", None, "localhost:5000/a/b:fixed"),
    ],
)  # fmt: skip
def test_name(registry: str, tag: str | None, revision: Revision | None, name: str) -> None:
    settings = CrateSettings(registry=registry, tag=tag)
    assert str(package_reference(crate(), settings, revision)) == name


def test_build_metadata_of_a_version() -> None:
    settings = CrateSettings(registry="ghcr.io/org/foo")
    found = package_reference(crate(version="1.2.0-rc.1+linux"), settings, None)
    assert found.tag == "1.2.0-rc.1_linux"


def test_no_registry() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        package_reference(crate(), CrateSettings(), CLEAN)
    assert 'registry = "ghcr.io/ORG/foo"' in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("revision", "why"), [(None, "in no git repository"), (UNBORN, "no commit yet")]
)
def test_no_commit(revision: Revision | None, why: str) -> None:
    settings = CrateSettings(registry="ghcr.io/org/foo", tag="{commit}")
    with pytest.raises(NotFoundError, match=why) as caught:
        package_reference(crate(), settings, revision)
    assert 'tag = "{version}"' in (caught.value.hint or "")


def test_unborn_repository_names_no_version_by_itself() -> None:
    with pytest.raises(NotFoundError, match="no commit yet"):
        package_reference(crate(), CrateSettings(registry="ghcr.io/org/foo"), UNBORN)


@pytest.mark.parametrize(
    ("registry", "tag", "why"),
    [
        ("ghcr.io/org/{version}", None, r"registry .* unknown \{version\}"),
        ("ghcr.io/org/foo", "{revision}", r"tag .* unknown \{revision\}"),
    ],
)
def test_unknown_field(registry: str, tag: str | None, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        package_reference(crate(), CrateSettings(registry=registry, tag=tag), CLEAN)


@pytest.mark.parametrize(
    ("registry", "tag"),
    [
        ("ghcr.io/org/foo:v1", "{version}"),
        ("org/foo", "{version}"),
        ("ghcr.io/Org/foo", "{version}"),
        ("ghcr.io/org/foo", "a b"),
    ],
)
def test_wrong_name_says_where_it_comes_from(registry: str, tag: str) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        package_reference(crate(), CrateSettings(registry=registry, tag=tag), CLEAN)
    assert caught.value.__notes__ == ["it follows from [package.metadata.ocipkg] in /w/Cargo.toml"]


def test_dirty_sources_are_refused() -> None:
    check_clean(crate(), None, allow_dirty=False)
    check_clean(crate(), CLEAN, allow_dirty=False)
    check_clean(crate(), DIRTY, allow_dirty=True)
    many = Revision(commit=COMMIT, changes=tuple(f"{n}.rs" for n in range(7)))
    with pytest.raises(InvalidArgumentError, match=r"0\.rs, .*4\.rs and 2 more") as caught:
        check_clean(crate(), many, allow_dirty=False)
    assert "--allow-dirty" in (caught.value.hint or "")


def test_annotations() -> None:
    found = crate_annotations(
        crate(
            description="Does\n  foo.",
            license="MIT/Apache-2.0",
            authors=("A <a@b>", "C"),
            repository="https://r",
            homepage="https://h",
            documentation="https://d",
        ),
        CrateSettings(annotations={"a": "b", "org.opencontainers.image.url": "https://u"}),
        DIRTY,
    )
    assert found == {
        "org.opencontainers.image.title": "foo",
        "org.opencontainers.image.description": "Does foo.",
        "org.opencontainers.image.version": "1.2.0",
        "org.opencontainers.image.revision": f"{COMMIT}-dirty",
        "org.opencontainers.image.source": "https://r",
        "org.opencontainers.image.url": "https://u",
        "org.opencontainers.image.documentation": "https://d",
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.authors": "A <a@b>, C",
        "a": "b",
    }
    assert set(crate_annotations(crate(), CrateSettings(), None)) == {
        "org.opencontainers.image.title",
        "org.opencontainers.image.version",
    }
