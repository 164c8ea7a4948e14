"""What a text names: a reference, a layout or an archive."""

import re
from pathlib import Path

import pytest

from client.trees import make_tree
from moments import just_before
from ocipkg_async import Client
from ocipkg_async.client import Target
from ocipkg_async.client.target import _looks_like_archive, _looks_like_path, _split_name
from ocipkg_async.errors import InvalidArgumentError, InvalidReferenceError, NotFoundError
from ocipkg_async.spec import Reference


async def test_reference() -> None:
    target = await Target.parse("ghcr.io/org/pkg:v1")
    assert target == Target(kind="registry", reference=Reference.parse("ghcr.io/org/pkg:v1"))
    assert str(target) == "ghcr.io/org/pkg:v1"
    assert target.names == ["ghcr.io/org/pkg:v1"]
    assert (await Target.parse("ghcr.io/org/pkg")).names == ["ghcr.io/org/pkg:latest"]


async def test_reference_as_skopeo_writes_it() -> None:
    assert await Target.parse("docker://ghcr.io/org/pkg:v1") == await Target.parse(
        "ghcr.io/org/pkg:v1"
    )


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [
        ("oci:dir", "layout", "dir", None),
        ("oci:dir:v1", "layout", "dir", "v1"),
        ("oci:a/b/:ghcr.io/org/pkg:v1", "layout", "a/b", "ghcr.io/org/pkg:v1"),
        ("oci:dir:", "layout", "dir", None),
        ("oci-archive:file.tar", "archive", "file.tar", None),
        ("oci-archive:file.tar:v1", "archive", "file.tar", "v1"),
        ("oci-archive:file:localhost:5000/a:b", "archive", "file", "localhost:5000/a:b"),
        ("oci-archive:x.tar.gz", "archive", "x.tar.gz", None),
        (r"oci:C:\dir:v1", "layout", r"C:\dir", "v1"),
        ("oci-archive:C:/dir/file.tar", "archive", "C:/dir/file.tar", None),
    ],
)
@pytest.mark.parametrize("output", [False, True])
async def test_prefixed_forms_need_not_exist(
    text: str, kind: str, path: str, name: str | None, output: bool
) -> None:
    target = await Target.parse(text, output=output)
    assert (target.kind, target.path, target.name) == (kind, Path(path), name)
    assert target.names == ([name] if name else [])
    again = await Target.parse(str(target), output=output)
    assert again == target


async def test_existing_paths_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path / "src")
    async with Client() as client:
        await client.pack([tmp_path / "src"], "pkg.tar")
        await client.pack([tmp_path / "src"], "oci:lay")
    (tmp_path / "renamed").write_bytes((tmp_path / "pkg.tar").read_bytes())
    for output in (False, True):
        assert (await Target.parse("pkg.tar", output=output)).kind == "archive"
        assert (await Target.parse("./renamed", output=output)).kind == "archive"
        assert (await Target.parse("lay", output=output)).kind == "layout"
        assert (await Target.parse(str(tmp_path / "lay"), output=output)).kind == "layout"


async def test_existing_path_to_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("text")
    for path in (tmp_path, tmp_path / "notes"):
        with pytest.raises(InvalidArgumentError, match="neither an image layout nor") as caught:
            await Target.parse(str(path))
        assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "missing.tar",
        "dir/missing.tar",
        "missing.tgz",
        "./missing",
        "../missing",
        "/missing/place",
        "~/missing",
        r"C:\missing",
        "C:/missing.tar",
        r".\missing",
        ".",
    ],
)
async def test_mistyped_path_is_not_taken_for_a_repository(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = InvalidArgumentError if text == "." else NotFoundError
    with pytest.raises(expected, match=re.escape(text)):
        await Target.parse(text)


@pytest.mark.parametrize("text", ["ghcr.io/org/pkg.tar", "localhost:5000/a.tar", "pkg.tar:v1"])
async def test_reference_that_looks_like_an_archive(text: str) -> None:
    assert (await Target.parse(text)).kind == "registry"


async def test_archive_to_write_is_known_by_its_name() -> None:
    target = await Target.parse("new/pkg.tar", output=True)
    assert (target.kind, target.path) == ("archive", Path("new/pkg.tar"))
    for name in ("pkg.tar.gz", "pkg.tgz"):
        with pytest.raises(InvalidArgumentError, match="without compression"):
            await Target.parse(name, output=True)


@pytest.mark.parametrize("text", ["pkg", "dir/pkg", "pkg:v1", "", "./out", "oci:", "Bad Name"])
async def test_r12_output_reference_names_its_registry(text: str) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        await Target.parse(text, output=True)
    assert "oci:DIR" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "Bad", "a b", "oci:", "oci-archive:", "docker:x"])
async def test_neither_path_nor_reference(text: str) -> None:
    if text == "docker:x":
        assert (await Target.parse(text)).kind == "registry"  # the repository docker, tag x
        return
    with pytest.raises(InvalidReferenceError):
        await Target.parse(text)


def test_windows_drives_are_no_separators() -> None:
    assert _split_name(r"D:\pkg\a.tar:v1") == (Path(r"D:\pkg\a.tar"), "v1")
    assert _split_name("d:/a:x/y:z") == (Path("d:/a"), "x/y:z")
    assert _split_name("d:name") == (Path("d"), "name")
    assert _looks_like_archive(r"C:\out\pkg.tar")
    assert _looks_like_archive("C:/pkg.tar")
    assert not _looks_like_archive("pkg.tar:v1")
    assert _looks_like_path(r"C:\out")
    assert _looks_like_path("c:/out")
    assert not _looks_like_path("c:out")


@pytest.mark.parametrize(
    ("text", "guessed"),
    [
        ("nope", True),
        ("some/nope", True),
        ("nope:v1", False),
        ("nope@sha256:" + "0" * 64, False),
        ("localhost/nope", False),
        ("ghcr.io/org/nope", False),
    ],
)
async def test_a_text_that_could_be_a_missing_path_is_a_guess(text: str, *, guessed: bool) -> None:
    target = await Target.parse(text)
    assert (target.kind, target.guessed) == ("registry", guessed)


async def test_an_archive_that_comes_while_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client() as client:
        await client.pack([make_tree(tmp_path / "tree")], str(tmp_path / "made.tar"))
    path = tmp_path / "wanted.tar"
    done = just_before(
        monkeypatch,
        "stat",
        lambda p: p == str(path),
        lambda: (tmp_path / "made.tar").rename(path),
        time=2,
    )
    assert await Target.parse(str(path)) == Target(kind="archive", path=path)
    assert done
