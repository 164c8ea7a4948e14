"""Annotations and link metadata of TOML files."""

from pathlib import Path

import pytest

from ocipkg_async.errors import InvalidDocumentError, NotFoundError, StorageError
from ocipkg_async.native import LinkMetadata
from ocipkg_async.package import ProjectMetadata, read_metadata
from ocipkg_async.package.metadata_file import parse_metadata

IMAGE = "org.opencontainers.image"


def ocipkg(text: str) -> ProjectMetadata:
    return parse_metadata(text.encode(), file="ocipkg.toml", pyproject=False)


def pyproject(text: str) -> ProjectMetadata:
    return parse_metadata(text.encode(), file="pyproject.toml", pyproject=True)


def test_nested_tables_are_read_as_ocipkg_reads_them() -> None:
    found = ocipkg(
        """
        [org.opencontainers.image]
        created = "2024-01-01T00:00:00Z"
        authors = "Ann"
        url = "https://example.org"

        [org.opencontainers.image.ref]
        name = "v1"

        [org.opencontainers.image.base]
        name = "b"
        digest = "sha256:1"

        [com.example]
        note = ""
        """
    )
    assert found.annotations == {
        f"{IMAGE}.created": "2024-01-01T00:00:00Z",
        f"{IMAGE}.authors": "Ann",
        f"{IMAGE}.url": "https://example.org",
        f"{IMAGE}.ref.name": "v1",
        f"{IMAGE}.base.name": "b",
        f"{IMAGE}.base.digest": "sha256:1",
        "com.example.note": "",
    }
    assert found.link is None


def test_flat_keys_and_times_are_read_too() -> None:
    found = ocipkg(f'"{IMAGE}.title" = "a"\n[{IMAGE}]\ncreated = 2024-01-01T01:00:00+00:00')
    assert found.annotations == {
        f"{IMAGE}.title": "a",
        f"{IMAGE}.created": "2024-01-01T01:00:00Z",
    }
    later = ocipkg(f"[{IMAGE}]\ncreated = 2024-01-01T01:00:00.5+02:00")
    assert later.annotations[f"{IMAGE}.created"] == "2024-01-01T01:00:00.500000+02:00"


def test_the_link_table() -> None:
    found = ocipkg(
        """
        [link]
        libraries = ["foo", "bar"]
        system-libraries = ["m"]
        frameworks = ["CoreFoundation"]
        include = [".", "include/foo"]
        defines = ["A", "B=1"]
        """
    )
    assert found.annotations == {}
    assert found.link == LinkMetadata(
        libraries=("foo", "bar"),
        system_libraries=("m",),
        frameworks=("CoreFoundation",),
        include=(".", "include/foo"),
        defines=("A", "B=1"),
    )
    assert ocipkg("[link]").link == LinkMetadata()


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[link]\nlibs = []", "link.libs", "system-libraries"),
        ("[link]\nsystem_libraries = []", "link.system_libraries", "system-libraries"),
        ('[link]\nlibraries = "foo"', "link.libraries", '["one"]'),
        ('[link]\nlibraries = ["a", 1]', "link.libraries[1]", "quotes"),
        ('[link]\nlibraries = [""]', "link.libraries", "library"),
        ('[link]\ndefines = ["A\\n"]', "link.defines", "macro"),
        ('[link]\ninclude = ["../x"]', "link.include", "folder"),
        ('[link]\ninclude = ["/usr"]', "link.include", "folder"),
        ('link = "foo"', "link", ""),
        ('title = "x"', "title", IMAGE),
        (f"[{IMAGE}]\nversion = 1.0", f"{IMAGE}.version", "quotes"),
        (f"[{IMAGE}]\nversion = true", f"{IMAGE}.version", "quotes"),
        (f"[{IMAGE}]\nversion = []", f"{IMAGE}.version", "quotes"),
        (f"[{IMAGE}]\ncreated = 2024-01-01", f"{IMAGE}.created", "quotes"),
        (f"[{IMAGE}]\ncreated = 2024-01-01T00:00:00", f"{IMAGE}.created", "quotes"),
        (f'"{IMAGE}.title" = "a"\n[{IMAGE}]\ntitle = "b"', f"{IMAGE}.title", ""),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(text: str, key: str, hint: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        ocipkg(text)
    assert str(caught.value).startswith(f"ocipkg.toml: {key} ")
    assert hint in (caught.value.hint or "")


def test_broken_toml_is_named_with_file_and_line() -> None:
    with pytest.raises(InvalidDocumentError, match=r"ocipkg\.toml is not valid TOML.*line 2"):
        ocipkg('a.b = "c"\n[org\nx = 1')
    with pytest.raises(InvalidDocumentError, match=r"not valid TOML.*utf-8"):
        parse_metadata(b"\xff", file="ocipkg.toml", pyproject=False)
    for text in ("a = " + "[" * 100_000, "a" + ".a" * 20_000 + ' = "x"'):
        with pytest.raises(InvalidDocumentError, match="too deeply"):
            ocipkg(text)


def test_pyproject_describes_the_project() -> None:
    found = pyproject(
        """
        [project]
        name = "foo"
        version = "1.2"
        description = "Foo it"
        license = "MIT OR Apache-2.0"
        authors = [{name = "Ann", email = "a@example.org"}, {name = "Bo"}, {email = "c@d.e"}]
        dependencies = ["x"]
        [project.urls]
        Homepage = "https://h"
        "Source Code" = "https://s"
        Documentation = "https://d"
        Changelog = "https://c"
        [tool.other]
        x = 1
        """
    )
    assert found.annotations == {
        f"{IMAGE}.title": "foo",
        f"{IMAGE}.version": "1.2",
        f"{IMAGE}.description": "Foo it",
        f"{IMAGE}.licenses": "MIT OR Apache-2.0",
        f"{IMAGE}.authors": "Ann <a@example.org>, Bo, c@d.e",
        f"{IMAGE}.source": "https://s",
        f"{IMAGE}.documentation": "https://d",
        f"{IMAGE}.url": "https://h",
    }
    assert found.link is None


def test_old_licence_tables() -> None:
    text = pyproject('[project]\nlicense = {text = "MIT"}').annotations
    assert text == {f"{IMAGE}.licenses": "MIT"}
    assert pyproject('[project]\nlicense = {file = "LICENSE"}').annotations == {}
    assert pyproject('[project]\nlicense = {text = "a\\nb"}').annotations == {}


def test_tool_ocipkg_wins_over_the_project() -> None:
    found = pyproject(
        f"""
        [project]
        name = "foo"
        version = "1"
        [tool.ocipkg.{IMAGE}]
        title = "Foo"
        [tool.ocipkg.link]
        libraries = ["foo"]
        """
    )
    assert found.annotations == {f"{IMAGE}.title": "Foo", f"{IMAGE}.version": "1"}
    assert found.link == LinkMetadata(libraries=("foo",))
    assert pyproject("[tool.ocipkg.link]").link == LinkMetadata()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[project]\nname = 1", "project.name"),
        ("[project]\nlicense = 1", "project.license"),
        ("[project]\nlicense = {text = 1}", "project.license.text"),
        ('[project]\nauthors = ["Ann"]', "project.authors[0]"),
        ("[project]\nauthors = [{name = 1}]", "project.authors[0].name"),
        ("[project]\nurls = []", "project.urls"),
        ("[project.urls]\nHomepage = 1", "project.urls.Homepage"),
        ("project = 1", "project"),
        ("[tool]\nocipkg = 1", "tool.ocipkg"),
        ("[tool.ocipkg.link]\nx = 1", "tool.ocipkg.link.x"),
        ("[tool.ocipkg.a]\nb = 1", "tool.ocipkg.a.b"),
        ("[build-system]", "has neither"),
    ],
)
def test_what_is_wrong_in_pyproject(text: str, key: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        pyproject(text)
    assert str(caught.value).startswith("pyproject.toml")
    assert f" {key} " in str(caught.value)


def test_the_name_of_a_file_tells_its_kind(tmp_path: Path) -> None:
    for name in ("ocipkg.toml", "other.toml"):
        (tmp_path / name).write_text('[a]\nb = "c"')
        assert read_metadata(tmp_path / name).annotations == {"a.b": "c"}
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    assert read_metadata(tmp_path / "pyproject.toml").annotations == {f"{IMAGE}.title": "x"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        read_metadata(tmp_path / "missing.toml")
    with pytest.raises(StorageError):
        read_metadata(tmp_path)
