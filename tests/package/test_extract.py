"""Applying layers: I-60 to I-66, S-20 to S-32, and the archives that fooled other extractors."""

import io
import os
import resource
import shutil
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocipkg_async.errors import (
    DiskFullError,
    InvalidArgumentError,
    InvalidPackageError,
    LimitExceededError,
    UnsafeArchiveError,
)
from ocipkg_async.package import Mode, UnpackLimits
from ocipkg_async.package.extract import Extractor
from ocipkg_async.package.folders import HAS_DESCRIPTORS, PathFolder, open_folder
from ocipkg_async.package.tar_reader import TarReader
from package import raw_tar as raw
from peers import require

# Systems without calls relative to descriptors go another way to the same result.
DESCRIPTORS = [True, False] if HAS_DESCRIPTORS else [False]


@pytest.fixture(params=DESCRIPTORS, ids=lambda on: "descriptors" if on else "paths")
def descriptors(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Place:
    """A folder to unpack into, with things beside it that must not change."""

    def __init__(self, tmp_path: Path, *, descriptors: bool = HAS_DESCRIPTORS) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self._outside = tmp_path / "outside"
        self._outside.mkdir(mode=0o750)
        (self._outside / "secret").write_text("kept")
        (self._outside / "secret").chmod(0o640)
        (tmp_path / "root-sibling").mkdir()
        self._descriptors = descriptors

    def apply(
        self,
        *layers: bytes,
        mode: Mode = "artifact",
        limits: UnpackLimits | None = None,
        keep_times: bool = False,
    ) -> Extractor:
        with Extractor(
            self.root,
            mode=mode,
            limits=limits,
            keep_times=keep_times,
            descriptors=self._descriptors,
        ) as extractor:
            for layer in layers:
                extractor.apply(TarReader(io.BytesIO(layer).read, limits=limits))
            extractor.finish()
        return extractor

    def refuse(
        self, *entries: bytes, mode: Mode = "artifact", error: type[Exception] = UnsafeArchiveError
    ) -> None:
        """One layer of these entries is refused, and nothing outside changed."""
        self.refuse_layers(raw.archive(*entries), mode=mode, error=error)

    def refuse_layers(
        self, *layers: bytes, mode: Mode = "artifact", error: type[Exception] = UnsafeArchiveError
    ) -> None:
        with pytest.raises(error):
            self.apply(*layers, mode=mode)
        self.check_outside()
        shutil.rmtree(self.root)
        self.root.mkdir()

    def check_outside(self) -> None:
        around = self.root.parent
        assert sorted(p.name for p in around.iterdir()) == ["outside", "root", "root-sibling"]
        assert [p.name for p in self._outside.iterdir()] == ["secret"]
        assert list((around / "root-sibling").iterdir()) == []
        secret = self._outside / "secret"
        assert secret.read_text() == "kept"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o640
        assert secret.stat().st_nlink == 1
        assert stat.S_IMODE(self._outside.stat().st_mode) == 0o750

    @property
    def tree(self) -> dict[str, str]:
        """All paths: ``/`` for a folder, ``-> target`` for a link, else the content."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"  # noqa: PTH115 - pathlib tidies the text
            else:
                found[name] = "/" if path.is_dir() else path.read_text()
        return found


@pytest.fixture
def place(tmp_path: Path, descriptors: bool) -> Place:
    return Place(tmp_path, descriptors=descriptors)


def layer(*entries: bytes) -> bytes:
    return raw.archive(*entries)


def test_a_tree_of_every_kind(place: Place) -> None:
    done = place.apply(
        layer(
            raw.folder(b"./"),
            raw.folder(b"./bin/", 0o755),
            raw.file(b"bin/tool", b"tool", mode=0o100755),
            raw.symlink(b"bin/alias", b"tool"),
            raw.symlink(b"lib", b"./usr/lib"),
            raw.hardlink(b"second", b"bin/tool"),
            raw.file(b"deep/er/file", b"content"),
            raw.file(b"empty"),
        )
    )
    assert place.tree == {
        "bin": "/",
        "bin/alias": "-> tool",
        "bin/tool": "tool",
        "deep": "/",
        "deep/er": "/",
        "deep/er/file": "content",
        "empty": "",
        "lib": "-> ./usr/lib",
        "second": "tool",
    }
    assert (place.root / "second").samefile(place.root / "bin/tool")
    assert os.access(place.root / "bin/tool", os.X_OK)
    assert (done.files, done.bytes) == (4, 11)


def test_sparse_files_have_their_holes(place: Place) -> None:
    records = {b"GNU.sparse.map": b"512,3,1000000,4", b"GNU.sparse.size": b"9000000"}
    records[b"GNU.sparse.name"] = b"file"
    place.apply(layer(raw.pax(records) + raw.file(b"x", b"abcdefg")))
    content = (place.root / "file").read_bytes()
    assert content == (bytes(512) + b"abc").ljust(1_000_000, b"\0") + b"defg" + bytes(7_999_996)
    assert (place.root / "file").stat().st_blocks * 512 < 1_000_000


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_a_real_tree_through_gnu_tar(tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin/tool").write_text("tool" * 5000)
    (source / "bin/tool").chmod(0o751)
    (source / "second").hardlink_to(source / "bin/tool")
    (source / "alias").symlink_to("bin/../second")
    (source / ("n" * 90) / ("m" * 90)).mkdir(parents=True)
    with (source / ("n" * 90) / "holes").open("w") as file:
        for n in range(10):
            file.seek(n * 100_000)
            file.write("data")
        file.truncate(2_000_000)
    os.utime(source / "bin", (1000, 1000))
    command = [require("tar"), f"--format={form}", "-cf", "-", "-C", str(source), "."]
    if form != "ustar":
        command.insert(1, "--sparse")
    (tmp_path / "unpacked").mkdir()
    place = Place(tmp_path / "unpacked")
    data = subprocess.run(command, check=True, capture_output=True).stdout
    place.apply(data, mode="rootfs", keep_times=True)
    left, right = (sorted(root.rglob("*")) for root in (source, place.root))
    for path, copy in zip(left, right, strict=True):
        assert path.relative_to(source) == copy.relative_to(place.root)
        before, after = path.lstat(), copy.lstat()
        assert before.st_mode == after.st_mode
        assert path.is_symlink() or int(before.st_mtime) == int(after.st_mtime)
        if path.is_symlink():
            assert path.readlink() == copy.readlink()
        elif path.is_file():
            assert path.read_bytes() == copy.read_bytes()
    assert (place.root / "second").samefile(place.root / "bin/tool")


# --- names -----------------------------------------------------------------------------------


def test_i61_names_lose_dots_and_one_slash_and_parents_are_made(place: Place) -> None:
    place.apply(layer(raw.file(b"/etc/x", b"1"), raw.file(b"././a//b/./c", b"2")))
    assert {k: v for k, v in place.tree.items() if v != "/"} == {"etc/x": "1", "a/b/c": "2"}
    assert stat.S_IMODE((place.root / "a/b").stat().st_mode) & 0o700 == 0o700


@pytest.mark.parametrize(
    "name",
    [
        b"../outside/secret",
        b"a/../../outside/secret",
        b"..",
        b"a/..",
        b"//etc/x",
        b"/../x",
        b"./../x",
    ],
)
@pytest.mark.parametrize("mode", ["artifact", "rootfs"])
def test_s21_cve_2007_4559_names_never_lead_out(place: Place, name: bytes, mode: Mode) -> None:
    place.refuse(raw.file(name, b"evil"), mode=mode)
    place.refuse(raw.folder(name, 0o777), mode=mode)
    place.refuse(raw.symlink(name, b"x"), mode=mode)


@pytest.mark.parametrize(
    "name",
    [
        "C:/x",
        "C:x",
        "\\\\host\\share",
        "a\\..\\b",
        "con",
        "d/NUL",
        "Com1.txt",
        "lpt9",
        "aux .x",
        "CONIN$",
        "com\u00b9",
        "dot.",
        "blank /x",
        "file:stream",
    ],
)
def test_s21_names_with_a_meaning_on_windows_are_no_artifact(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path)
    place.refuse(raw.file(name.encode()))
    place.refuse(raw.symlink(b"link", name.encode()))
    if sys.platform != "win32":
        place.apply(layer(raw.file(name.encode(), b"kept")), mode="rootfs")
        assert "kept" in place.tree.values()


def test_s21_names_like_reserved_ones_are_fine(place: Place) -> None:
    names = [b"console", b"com", b"com10", b"lpt", b"auxiliary", b".hidden", b"..twice", b"nul-x"]
    place.apply(layer(*(raw.file(name) for name in names)))
    assert sorted(place.tree) == sorted(name.decode() for name in names)


def test_s21_names_that_are_not_utf8_are_no_artifact(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.refuse(raw.file(b"caf\xe9"))
    place.apply(layer(raw.file(b"caf\xe9", b"x")), mode="rootfs")
    assert [os.fsencode(p.name) for p in place.root.iterdir()] == [b"caf\xe9"]


@pytest.mark.parametrize(
    "pair",
    [
        ("README", "readme"),
        ("d/A/x", "d/a/y"),
        (unicodedata.normalize("NFC", "caf\u00e9"), unicodedata.normalize("NFD", "caf\u00e9")),
        ("stra\u00dfe", "STRASSE"),
        ("\u03a3", "\u03c2"),
    ],
)
def test_s30_names_that_fold_together_are_no_artifact(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    place = Place(tmp_path)
    first, second = (raw.file(name.encode()) for name in pair)
    place.refuse(first, second)
    place.refuse_layers(layer(first), layer(second))


def test_s30_a_name_is_free_again_after_its_removal(place: Place) -> None:
    place.apply(
        layer(raw.file(b"README", b"1"), raw.file(b"d/X")),
        layer(raw.file(b".wh.README"), raw.file(b".wh.d")),
        layer(raw.file(b"readme", b"2"), raw.file(b"D/x")),
    )
    assert place.tree == {"readme": "2", "D": "/", "D/x": ""}


def test_s30_a_root_file_system_may_have_both(place: Place) -> None:
    if (place.root.parent / "OUTSIDE").exists():
        place.refuse(raw.file(b"README"), raw.file(b"readme"), mode="rootfs")
    else:
        place.apply(layer(raw.file(b"README"), raw.file(b"readme")), mode="rootfs")
        assert sorted(place.tree) == ["README", "readme"]


# --- symbolic links --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [b"/etc/passwd", b"../outside", b"a/../../outside", b"x/../y", b"../../root/x", b"C:\\x"],
)
def test_s22_links_of_an_artifact_stay_inside(place: Place, target: bytes) -> None:
    place.refuse(raw.symlink(b"link", target))


def test_s22_links_inside_are_kept_as_written(place: Place) -> None:
    place.apply(layer(raw.symlink(b"a/b/up", b"../../c/./d"), raw.symlink(b"a/dir", b"..")))
    assert place.tree["a/b/up"] == "-> ../../c/./d"
    assert place.tree["a/dir"] == "-> .."


def test_s22_links_of_a_root_file_system_keep_any_target(place: Place) -> None:
    place.apply(
        layer(raw.symlink(b"abs", b"/etc/x"), raw.symlink(b"out", b"../../outside")), mode="rootfs"
    )
    assert place.tree == {"abs": "-> /etc/x", "out": "-> ../../outside"}


def test_s22_cve_2025_4330_chained_links_do_not_add_up(place: Place) -> None:
    """Each link alone leads inside by its text; the second climbs from where the first leads."""
    place.refuse(raw.symlink(b"d1/d2/a", b"../.."), raw.symlink(b"d1/d2/b", b"a/../outside"))


@pytest.mark.parametrize("mode", ["artifact", "rootfs"])
@pytest.mark.parametrize(
    "through",
    [raw.file(b"way/secret", b"evil"), raw.folder(b"way/new"), raw.symlink(b"way/l", b"x")],
    ids=["file", "folder", "link"],
)
def test_s20_cve_2021_21272_nothing_is_written_through_a_link(
    place: Place, mode: Mode, through: bytes
) -> None:
    """Of one layer or of two: the symlink attack of oras, docker, containerd and tarfile."""
    target = b"../outside" if mode == "rootfs" else b"inside"
    place.refuse(raw.symlink(b"way", target), through, mode=mode)
    place.refuse_layers(layer(raw.symlink(b"way", target)), layer(through), mode=mode)


def test_s20_ghsa_m37j_52j7_pjw7_chains_of_links_are_not_walked(place: Place) -> None:
    place.refuse(
        raw.symlink(b"a", b"../outside"),
        raw.symlink(b"b", b"a"),
        raw.file(b"b/secret", b"evil"),
        mode="rootfs",
    )


def test_s20_cve_2021_32760_cve_2024_12718_attributes_do_not_follow(place: Place) -> None:
    """Modes and times of a link's target stay, whether a link or a folder comes after it."""
    link = raw.symlink(b"way", b"../outside")
    place.apply(
        layer(link, raw.header(b"s", kind=b"2", link=b"../outside/secret", mode=0o777)),
        layer(raw.folder(b"way", 0o777)),
        mode="rootfs",
        keep_times=True,
    )
    assert place.tree == {"s": "-> ../outside/secret", "way": "/"}
    place.check_outside()


def test_s20_a_file_over_a_link_replaces_the_link(place: Place) -> None:
    place.apply(
        layer(raw.symlink(b"way", b"../outside/secret")),
        layer(raw.file(b"way", b"new")),
        mode="rootfs",
    )
    assert place.tree == {"way": "new"}
    place.check_outside()


def test_s27_cve_2025_4517_no_path_is_long_enough_to_end_the_checks(place: Place) -> None:
    """A path that the system cannot resolve any more is no way around a link check."""
    deep = b"/".join([b"d" * 247] * 16)
    entries = [raw.pax({b"path": deep + b"/link", b"linkpath": b"../" * 17 + b"outside"})]
    entries.append(raw.symlink(b"x", b"y"))
    with pytest.raises(InvalidPackageError):
        place.apply(layer(*entries))
    place.check_outside()


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason="no descriptors here")
def test_s20_a_folder_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    """CVE-2018-15664: somebody swaps a folder for a link while the archive is applied."""
    for descriptors in (True, False):
        folder = tmp_path / str(descriptors)
        folder.mkdir()
        place = Place(folder, descriptors=descriptors)

        def swap(root: Path = place.root) -> None:
            if (root / "way").is_dir() and not (root / "way").is_symlink():
                (root / "way").rename(root / "moved")
                (root / "way").symlink_to("../outside")

        data = layer(raw.folder(b"way"), raw.file(b"other/x"), raw.file(b"way/secret", b"evil"))
        extractor = Extractor(place.root, mode="artifact", check=swap, descriptors=descriptors)
        with extractor, pytest.raises(UnsafeArchiveError):
            extractor.apply(TarReader(io.BytesIO(data).read))
        place.check_outside()


# --- hard links ------------------------------------------------------------------------------


def test_i66_hard_links_to_lower_layers_and_special_files(place: Place) -> None:
    done = place.apply(
        layer(raw.file(b"d/f", b"x"), raw.header(b"null", kind=b"3")),
        layer(
            raw.hardlink(b"e/g", b"/d/f"), raw.hardlink(b"h", b"./d/f"), raw.hardlink(b"n", b"null")
        ),
        mode="rootfs",
    )
    assert (place.root / "d/f").stat().st_nlink == 3
    assert place.tree == {"d": "/", "d/f": "x", "e": "/", "e/g": "x", "h": "x"}
    assert (done.special, done.bytes) == (2, 1)


@pytest.mark.parametrize("mode", ["artifact", "rootfs"])
@pytest.mark.parametrize(
    "target",
    [b"../outside/secret", b"/../outside/secret", b"missing", b"later", b"folder", b"./h", b"/"],
)
def test_s23_cve_2026_50163_hard_links_point_to_files_already_there(
    place: Place, mode: Mode, target: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root.parent / "outside")  # a target there is found by no link
    place.refuse(raw.folder(b"folder"), raw.hardlink(b"h", target), raw.file(b"later"), mode=mode)
    place.refuse(raw.hardlink(b"h2", b"secret"), mode=mode)


@pytest.mark.parametrize("mode", ["artifact", "rootfs"])
def test_s23_cve_2026_11940_hard_links_never_touch_a_symbolic_link(
    place: Place, mode: Mode
) -> None:
    """Neither to it (its target would be moved to another depth) nor through it."""
    target = b"../outside/secret" if mode == "rootfs" else b"file"
    link = raw.symlink(b"s", target)
    place.refuse(raw.file(b"file"), link, raw.hardlink(b"h", b"s"), mode=mode)
    place.refuse_layers(layer(raw.file(b"file"), link), layer(raw.hardlink(b"h", b"s")), mode=mode)
    folder_link = raw.symlink(b"d", b"../outside" if mode == "rootfs" else b"real")
    place.refuse(raw.file(b"real/secret"), folder_link, raw.hardlink(b"h", b"d/secret"), mode=mode)


def test_s23_cve_2025_4138_writing_to_a_hard_link_does_not_reach_its_target(place: Place) -> None:
    place.apply(
        layer(raw.file(b"a", b"old"), raw.hardlink(b"b", b"a")), layer(raw.file(b"b", b"new"))
    )
    assert place.tree == {"a": "old", "b": "new"}


def test_s23_cve_2026_4360_every_link_obeys_the_rules_of_names(place: Place) -> None:
    place.refuse(raw.file(b"a"), raw.hardlink(b"../outside/h", b"a"))
    place.refuse(raw.file(b"a"), raw.hardlink(b"C:h", b"a"))


# --- special files, modes, times -------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"3", b"4", b"6"])
def test_s25_special_files_are_refused_or_left_out(place: Place, kind: bytes) -> None:
    place.refuse(raw.header(b"special", kind=kind))
    done = place.apply(
        layer(raw.file(b"dev/special", b"x"), raw.file(b"dev/other")),
        layer(raw.header(b"dev/special", kind=kind)),
        mode="rootfs",
    )
    assert place.tree == {"dev": "/", "dev/other": ""}, "what it replaces is gone"
    assert done.special == 1


def test_s25_nothing_lies_below_a_special_file(place: Place) -> None:
    place.refuse(raw.header(b"p", kind=b"6"), raw.file(b"p/x"), mode="rootfs")


def test_s26_modes_set_last_do_not_bring_back_what_was_removed(place: Place) -> None:
    place.apply(
        layer(raw.folder(b"gone", 0o777), raw.folder(b"other", 0o777)),
        layer(raw.file(b".wh.gone"), raw.file(b"other", b"now a file")),
        mode="rootfs",
    )
    assert place.tree == {"other": "now a file"}


def modes(place: Place) -> dict[str, int]:
    return {p.name: stat.S_IMODE(p.lstat().st_mode) for p in place.root.iterdir()}


@pytest.fixture
def umask_022() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask_022")
def test_s26_no_setuid_and_nobody_else_writes(place: Place) -> None:
    place.apply(
        layer(
            raw.file(b"setuid", mode=0o6755),
            raw.file(b"shared", mode=0o666),
            raw.file(b"secret", mode=0o600),
            raw.file(b"none", mode=0),
            raw.file(b"odd", mode=0o611),
            raw.folder(b"sticky", 0o1777),
            raw.folder(b"closed", 0),
            raw.file(b"closed/file"),
        )
    )
    assert modes(place) == {
        "setuid": 0o755,
        "shared": 0o644,
        "secret": 0o600,
        "none": 0o600,
        "odd": 0o600,
        "sticky": 0o755,
        "closed": 0o700,
    }


@pytest.mark.usefixtures("umask_022")
def test_s26_a_root_file_system_keeps_modes_but_setuid(place: Place) -> None:
    place.apply(
        layer(raw.file(b"setuid", mode=0o4755), raw.file(b"shared", mode=0o666)),
        layer(raw.folder(b"tmp", 0o1777), raw.file(b"made/file"), raw.folder(b"made", 0o711)),
        mode="rootfs",
    )
    assert modes(place) == {"setuid": 0o755, "shared": 0o666, "tmp": 0o777, "made": 0o711}


def test_s26_the_umask_holds(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        place = Place(tmp_path)
        place.apply(
            layer(raw.file(b"f", mode=0o755), raw.folder(b"d"), raw.file(b"e/f"), raw.folder(b"e"))
        )
        assert modes(place) == {"f": 0o700, "d": 0o700, "e": 0o700}
    finally:
        os.umask(old)


def test_times_are_kept_when_asked(place: Place) -> None:
    data = layer(
        raw.header(b"d", kind=b"5", mtime=1000, mode=0o755),
        raw.pax({b"mtime": b"2000.5"}) + raw.file(b"d/f", b"x"),
    )
    place.apply(data, keep_times=True)
    assert (place.root / "d").stat().st_mtime == 1000
    assert (place.root / "d/f").stat().st_mtime == 2000.5


def test_times_are_now_by_default(place: Place) -> None:
    place.apply(layer(raw.file(b"f", b"x", mtime=1000)))
    assert (place.root / "f").stat().st_mtime > 1_500_000_000


# --- layers over layers ----------------------------------------------------------------------


def test_i62_whiteouts_hide_lower_layers_only(place: Place) -> None:
    place.apply(
        layer(raw.file(b"d/x", b"low"), raw.file(b"d/y", b"low"), raw.file(b"e/f/g", b"low")),
        layer(
            raw.file(b"d/x", b"high"),
            raw.file(b"d/.wh.x"),
            raw.file(b"d/.wh.y"),
            raw.file(b".wh.missing"),
            raw.file(b"nowhere/.wh.x"),
            raw.file(b".wh.e"),
        ),
        mode="rootfs",
    )
    assert place.tree == {"d": "/", "d/x": "high"}


@pytest.mark.parametrize("first", [True, False])
def test_i62_a_whiteout_and_a_new_folder_of_the_same_name(place: Place, first: bool) -> None:
    hide, new = raw.file(b".wh.d"), raw.file(b"d/new", b"n")
    place.apply(
        layer(raw.file(b"d/old"), raw.file(b"d/sub/old"), raw.symlink(b"d/link", b"old")),
        layer(hide, new) if first else layer(new, hide),
    )
    assert place.tree == {"d": "/", "d/new": "n"}


@pytest.mark.parametrize("opaque", [b"d/.wh..wh..opq", b"./d/.wh..wh..opq"])
@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_i63_opaque_hides_what_lies_below_wherever_it_stands(
    place: Place, opaque: bytes, position: int
) -> None:
    entries = [raw.folder(b"d"), raw.file(b"d/sub/new", b"n"), raw.file(b"d/new", b"n")]
    entries.insert(position, raw.file(opaque))
    place.apply(
        layer(raw.file(b"d/old"), raw.file(b"d/sub/old"), raw.file(b"kept"), raw.file(b"d/gone/x")),
        layer(*entries),
    )
    assert place.tree == {"d": "/", "d/new": "n", "d/sub": "/", "d/sub/new": "n", "kept": ""}


def test_i63_opaque_root(place: Place) -> None:
    place.apply(
        layer(raw.file(b"a"), raw.file(b"b/c")), layer(raw.file(b".wh..wh..opq"), raw.file(b"d"))
    )
    assert place.tree == {"d": ""}


def test_i64_bookkeeping_of_aufs_is_skipped(place: Place) -> None:
    place.apply(
        layer(raw.file(b".wh..wh.aufs"), raw.folder(b".wh..wh.plnk"), raw.file(b".wh..wh.plnk/1.2"))
    )
    assert place.tree == {}


@pytest.mark.parametrize("name", [b".wh.", b"d/.wh.", b".wh...", b".wh..", b".wh.x/y"])
def test_i62_s28_bad_whiteouts(place: Place, name: bytes) -> None:
    place.refuse(raw.file(b"d/x"), raw.file(name), error=InvalidPackageError)


def test_s28_whiteouts_follow_no_link(place: Place) -> None:
    place.apply(
        layer(raw.symlink(b"way", b"../outside"), raw.symlink(b"gone", b"../outside/secret")),
        layer(raw.file(b"way/.wh.secret"), raw.file(b"way/.wh..wh..opq"), raw.file(b".wh.gone")),
        mode="rootfs",
    )
    assert place.tree == {"way": "-> ../outside"}
    place.check_outside()


def test_s28_a_whiteout_of_a_folder_with_links_removes_the_links(place: Place) -> None:
    place.apply(
        layer(raw.symlink(b"d/e/way", b"../../../outside"), raw.header(b"d/null", kind=b"3")),
        layer(raw.file(b".wh.d")),
        mode="rootfs",
    )
    assert place.tree == {}
    place.check_outside()


def test_whiteouts_of_a_place_and_of_what_lies_in_it(place: Place) -> None:
    place.apply(
        layer(raw.file(b"d/a"), raw.file(b"d/b")), layer(raw.file(b"d/.wh.a"), raw.file(b".wh.d"))
    )
    assert place.tree == {}


def test_i65_what_replaces_what(place: Place) -> None:
    low = [raw.file(b"f/x"), raw.folder(b"d"), raw.file(b"d/kept", b"k"), raw.file(b"ff", b"old")]
    low += [raw.symlink(b"s", b"d"), raw.file(b"fd", b"file")]
    place.apply(
        layer(*low),
        layer(
            raw.file(b"f", b"now a file"),
            raw.folder(b"d", 0o700),
            raw.file(b"ff", b"new"),
            raw.folder(b"s"),
            raw.file(b"s/in", b"i"),
            raw.folder(b"fd"),
        ),
    )
    assert place.tree == {
        "d": "/",
        "d/kept": "k",
        "f": "now a file",
        "fd": "/",
        "ff": "new",
        "s": "/",
        "s/in": "i",
    }
    assert stat.S_IMODE((place.root / "d").stat().st_mode) == 0o700


def test_i60_a_path_twice_in_one_layer_the_last_wins(place: Place) -> None:
    done = place.apply(
        layer(
            raw.file(b"f", b"first"), raw.file(b"f", b"last"), raw.folder(b"d"), raw.folder(b"d/")
        )
    )
    assert place.tree == {"f": "last", "d": "/"}
    assert (done.files, done.bytes) == (1, 4)


@pytest.mark.parametrize(
    "entries",
    [
        (raw.symlink(b"p", b"d"), raw.folder(b"p")),
        (raw.folder(b"p"), raw.symlink(b"p", b"d")),
        (raw.file(b"p/x"), raw.file(b"p")),
        (raw.file(b"p"), raw.file(b"p/x")),
        (raw.symlink(b"p", b"d"), raw.file(b"p")),
    ],
)
@pytest.mark.parametrize("mode", ["artifact", "rootfs"])
def test_i60_s32_one_layer_has_no_path_as_two_kinds(
    place: Place, entries: tuple[bytes, ...], mode: Mode
) -> None:
    place.refuse(*entries, mode=mode)


def test_the_root_is_a_folder(place: Place) -> None:
    place.refuse(raw.symlink(b".", b"d"))
    place.refuse(raw.file(b"./."))


# --- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "entries"),
    [
        (UnpackLimits(entries=3), [raw.file(b"f%d" % n) for n in range(4)]),
        (UnpackLimits(entries=3), [raw.file(b"f")] * 4),
        (
            UnpackLimits(total_bytes=2000),
            [raw.file(b"a", b"x" * 1100), raw.file(b"b", b"x" * 1100)],
        ),
        (UnpackLimits(file_bytes=1000), [raw.file(b"a", b"x" * 1100)]),
        (UnpackLimits(depth=3), [raw.file(b"a/b/c/d")]),
        (UnpackLimits(entries=20), [raw.file(b"%d/b/c/d/e/f/g/h" % i) for i in range(3)]),
        (UnpackLimits(path_bytes=50), [raw.file(b"d/" * 30 + b"f")]),
        (UnpackLimits(), [raw.pax({b"path": b"x" * 256}) + raw.file(b"f")]),
        (UnpackLimits(), [raw.pax({b"path": "\u00e9".encode() * 128}) + raw.file(b"f")]),
    ],
)
def test_s27_every_limit_holds(place: Place, limits: UnpackLimits, entries: list[bytes]) -> None:
    with pytest.raises(LimitExceededError) as caught:
        place.apply(layer(*entries), limits=limits)
    assert "raise the limit" in (caught.value.hint or "")


def test_s27_holes_count_as_bytes(place: Place) -> None:
    records = {b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"%d" % 2**62}
    with pytest.raises(LimitExceededError):
        place.apply(layer(raw.pax(records) + raw.file(b"x", b"a")))
    assert place.tree == {}


def test_s27_limits_are_for_all_layers_together(place: Place) -> None:
    one = layer(raw.file(b"a", b"x" * 600))
    with pytest.raises(LimitExceededError):
        place.apply(one, one, limits=UnpackLimits(total_bytes=1000))


def test_limits_are_positive() -> None:
    with pytest.raises(InvalidArgumentError, match="depth"):
        UnpackLimits(depth=0)


def test_s27_whiteouts_in_a_full_folder_are_linear_work(tmp_path: Path) -> None:
    """A thousand opaque markers over a hundred files scan the folder once."""
    place = Place(tmp_path)
    entries = [raw.file(b"d/%d" % n) for n in range(100)] + [raw.file(b"d/.wh..wh..opq")] * 1000
    checks = 0

    def count() -> None:
        nonlocal checks
        checks += 1

    with Extractor(place.root, mode="rootfs", check=count) as extractor:
        extractor.apply(TarReader(io.BytesIO(layer(*entries)).read))
    assert checks < 1300


def test_a_full_disk_is_told_as_such(place: Place) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFullError) as caught:
            place.apply(layer(raw.file(b"big", b"x" * 200_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint


def test_the_check_ends_the_work(place: Place) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    def check() -> None:
        if (place.root / "b").exists():
            raise Stop

    extractor = Extractor(place.root, mode="artifact", check=check)
    with extractor, pytest.raises(Stop):
        extractor.apply(
            TarReader(io.BytesIO(layer(*(raw.file(n) for n in (b"a", b"b", b"c")))).read)
        )
    assert sorted(place.tree) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="counts descriptors below /proc or /dev")
def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    listing = next(p for p in map(Path, ("/proc/self/fd", "/dev/fd")) if p.exists())
    before = len(list(listing.iterdir()))
    place = Place(tmp_path)
    place.apply(layer(raw.file(b"a/b/c/d"), raw.file(b"a/x/y"), raw.hardlink(b"q/r/s", b"a/b/c/d")))
    place.refuse(raw.file(b"e/f/g"), raw.file(b"e/../x"))
    place.refuse(raw.symlink(b"l", b"e"), raw.file(b"l/f/g"))
    assert len(list(listing.iterdir())) == before


def test_paths_are_checked_to_be_the_folder_that_was_opened(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    with open_folder(tmp_path, descriptors=False) as top, top.child("a") as folder:
        assert isinstance(folder, PathFolder)
        (tmp_path / "a").rename(tmp_path / "gone")
        (tmp_path / "a").symlink_to("gone")
        with pytest.raises(UnsafeArchiveError, match="link"):
            folder.create("x", 0o644)
        with pytest.raises(UnsafeArchiveError, match="link"):
            top.child("a")
    assert sorted(p.name for p in (tmp_path / "gone").iterdir()) == ["b"]
