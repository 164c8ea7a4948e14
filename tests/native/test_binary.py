"""Binaries are told by their headers, whatever system they are for, and broken ones are none."""

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native.forged import ar, coff, elf, import_object, macho, pe, universal
from ocipkg_async.errors import StorageError
from ocipkg_async.native import Binary, Machine, identify
from ocipkg_async.spec import Platform
from peers import require

LINUX = Platform(os="linux", architecture="amd64")
X86, ARM = 0x01000007, 0x0100000C


def told(data: bytes) -> Binary:
    binary = identify(data)
    assert binary is not None
    return binary


def compiled(folder: Path, *arguments: str, compiler: str = "gcc", output: str = "out") -> Path:
    source = folder / "a.c"
    source.write_text("int f(void) { return 1; }\nint main(void) { return f(); }\n")
    command = [require(compiler), str(source), "-o", str(folder / output), *arguments]
    subprocess.run(command, check=True, timeout=60)
    return folder / output


@pytest.mark.interop
@pytest.mark.parametrize(
    ("arguments", "kind", "interpreted"),
    [
        ((), "executable", True),
        (("-no-pie",), "executable", True),
        (("-static",), "executable", False),
        (("-static-pie",), "executable", False),
        (("-shared", "-fPIC"), "dynamic", False),
        (("-c",), "object", False),
    ],
)
def test_what_gcc_makes(
    tmp_path: Path, arguments: tuple[str, ...], kind: str, interpreted: bool
) -> None:
    binary = identify(compiled(tmp_path, *arguments))
    assert binary is not None
    assert (binary.format, binary.kind) == ("elf", kind)
    assert (binary.interpreter is not None) is interpreted
    (own,) = binary.platforms(os="linux")
    assert own.architecture == Platform.host().architecture
    assert binary.fits(Platform.host())


@pytest.mark.interop
def test_what_a_library_says_of_itself(tmp_path: Path) -> None:
    first = compiled(tmp_path, "-shared", "-fPIC", "-Wl,-soname,liba.so.1", output="liba.so")
    second = compiled(
        tmp_path, "-shared", "-fPIC", "-Wl,--no-as-needed", str(first), output="libb.so"
    )
    first_is, second_is = identify(first), identify(second)
    assert first_is is not None
    assert second_is is not None
    assert (first_is.soname, second_is.soname) == ("liba.so.1", None)
    assert "liba.so.1" in second_is.needed
    assert second_is.libc == "glibc"


@pytest.mark.interop
def test_another_compilers_binaries(tmp_path: Path) -> None:
    binary = identify(compiled(tmp_path, "-c", compiler="aarch64-linux-gnu-gcc"))
    assert binary is not None
    assert binary.machines == (Machine("arm64"),)
    assert binary.fits(Platform(os="linux", architecture="arm64"))
    assert not binary.fits(LINUX)


@pytest.mark.interop
def test_musl_is_told_from_glibc(tmp_path: Path) -> None:
    dynamic = identify(compiled(tmp_path, compiler="musl-gcc"))
    static = identify(compiled(tmp_path, "-static", compiler="musl-gcc"))
    assert dynamic is not None
    assert static is not None
    assert (dynamic.libc, static.libc) == ("musl", None)
    assert static.interpreter is None


@pytest.mark.interop
@pytest.mark.parametrize(
    ("triple", "shown"),
    [
        ("x86_64-apple-macosx11", "darwin/amd64"),
        ("arm64-apple-macosx11", "darwin/arm64"),
        ("arm64e-apple-ios14", "ios/arm64e"),
        ("x86_64-pc-windows-msvc", "windows/amd64"),
        ("i686-pc-windows-msvc", "windows/386"),
        ("aarch64-pc-windows-msvc", "windows/arm64"),
        ("i686-linux-gnu", "386 (elf)"),
        ("riscv64-linux-gnu", "riscv64 (elf)"),
        ("powerpc64le-linux-gnu", "ppc64le (elf)"),
        ("powerpc64-linux-gnu", "ppc64 (elf)"),
        ("s390x-linux-gnu", "s390x (elf)"),
        ("mips-linux-gnu", "mips (elf)"),
        ("mips64el-linux-gnuabi64", "mips64le (elf)"),
        ("x86_64-unknown-freebsd", "freebsd/amd64"),
    ],
)
def test_objects_as_llvm_writes_them(tmp_path: Path, triple: str, shown: str) -> None:
    source = tmp_path / "a.s"
    source.write_text(".globl f\nf:\n")
    command = [require("llvm-mc"), "-triple", triple, "-filetype=obj", str(source), "-o"]
    subprocess.run([*command, str(tmp_path / "a.o")], check=True, timeout=60)
    binary = identify(tmp_path / "a.o")
    assert binary is not None
    assert (str(binary), binary.kind) == (shown, "object")


@pytest.mark.interop
@pytest.mark.parametrize(("version", "variant"), [("5te", "v5"), ("6", "v6"), ("7-a", "v7")])
def test_variants_of_arm(tmp_path: Path, version: str, variant: str) -> None:
    source, output = tmp_path / "a.s", tmp_path / "a.o"
    source.write_text(f".arch armv{version}\n.globl f\nf:\n")
    command = [require("llvm-mc"), "-triple", "armv7-linux-gnueabihf", "-filetype=obj"]
    subprocess.run([*command, source, "-o", output], check=True, timeout=60)
    binary = identify(output)
    assert binary is not None
    assert binary.machines == (Machine("arm", variant),)
    fits = [
        binary.fits(Platform(os="linux", architecture="arm", variant=f"v{n}")) for n in (5, 6, 7)
    ]
    assert fits == [variant <= f"v{n}" for n in (5, 6, 7)]


def test_archives_of_all_forms() -> None:
    one = elf(machine=183)
    for members in (
        [("a.o/", one)],
        [("/", b"\0\0\0\0"), ("//", b"a_long_name.o/\n"), ("/0", one)],
        [("/SYM64/", bytes(8)), ("a.o/", one)],
        [("__.SYMDEF SORTED", bytes(8)), ("a.o", one)],
        [("#1/20", b"__.SYMDEF SORTED\0\0\0\0" + one), ("#1/5", b"a.o\0\0" + one)],
        [("lib.rmeta/", elf(machine=62)), ("a.o/", one)],
        [("b.bc/", b"BC\xc0\xde" + bytes(40)), ("notes/", b"text"), ("a.o/", one)],
    ):
        binary = told(ar(*members))
        assert (binary.format, binary.kind) == ("elf", "archive"), members
        assert binary.machines == (Machine("arm64"),)


def test_archives_that_do_not_tell() -> None:
    assert told(ar()).machines == ()
    assert told(ar(("b.bc/", b"BC\xc0\xde" + bytes(40)))).machines == ()
    assert told(ar()).fits(LINUX)
    assert told(ar(("a.o/", elf()), magic=b"!<thin>\n")).thin


def test_import_libraries_name_their_dll() -> None:
    descriptor = coff(section=b".idata$2")
    microsoft = told(
        ar(("/", b""), ("foo.dll/", descriptor), ("foo.dll/", import_object("foo.dll")))
    )
    gnu = told(ar(("h.o/", descriptor), ("t.o/", coff(section=b".idata$7", data=b"foo.dll\0"))))
    for binary in (microsoft, gnu):
        assert (binary.kind, binary.import_library, binary.soname) == ("archive", True, "foo.dll")
        assert binary.platforms() == (Platform(os="windows", architecture="amd64"),)
    static = told(ar(("a.obj/", coff(machine=0xAA64))))
    assert (static.import_library, static.soname, str(static)) == (False, None, "windows/arm64")


def test_windows_programs_and_dlls() -> None:
    assert (told(pe()).kind, str(told(pe()))) == ("dynamic", "windows/amd64")
    assert told(pe(flags=2)).kind == "executable"
    assert str(told(pe(machine=0x14C))) == "windows/386"
    assert identify(b"MZ" + bytes(62)) is None


def test_apples_libraries() -> None:
    library = told(macho(kind=6, name="@rpath/libfoo.1.dylib"))
    assert (library.kind, library.soname) == ("dynamic", "@rpath/libfoo.1.dylib")
    assert told(macho(platform=2)).os == "ios"
    silent = told(macho(platform=None))
    assert silent.fits(Platform(os="darwin", architecture="arm64"))
    assert not silent.fits(Platform(os="linux", architecture="arm64"))


def test_universal_files_are_for_each_of_their_machines() -> None:
    library = told(universal((X86, macho(cpu=X86)), (ARM, macho())))
    archive = told(universal((X86, ar(("a.o", macho(cpu=X86)))), (ARM, ar(("a.o", macho())))))
    for binary in (library, archive):
        assert binary.machines == (Machine("amd64"), Machine("arm64"))
        assert binary.fits(Platform(os="darwin", architecture="arm64"))
        assert not binary.fits(Platform(os="darwin", architecture="386"))
    assert archive.kind == "archive"
    assert identify(universal((X86, macho(cpu=X86, kind=6)), (ARM, macho()))) is None
    assert identify(struct.pack(">IHH", 0xCAFEBABE, 0, 61) + bytes(200)) is None  # Java's class


@pytest.mark.parametrize(
    ("abi", "os", "fits"), [(0, None, True), (3, "linux", True), (9, "freebsd", False)]
)
def test_the_system_of_elf(abi: int, os: str | None, fits: bool) -> None:
    binary = told(elf(abi=abi))
    assert (binary.os, binary.fits(LINUX)) == (os, fits)
    assert not binary.fits(Platform(os="windows", architecture="amd64"))
    assert not binary.fits(Platform(os="linux", architecture="386"))


def test_a_library_is_for_one_processor_though_another_runs_its_programs() -> None:
    assert not told(elf(machine=3, bits=32)).fits(LINUX)
    assert told(elf(bits=32)).machines == (Machine("amd64p32"),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        b"#!/bin/sh\n",
        b"/* GNU ld script */\nINPUT(libfoo.so.1)\n",
        elf()[:-1],
        elf(kind=4),
        elf(kind=3),  # nothing of it would be loaded
        elf(kind=2, segments=1, segments_at=1 << 63),
        elf(kind=2, segments=0xFFFF, segments_at=64) + bytes(56 * 0xFFFF),
        macho()[:-1],
        macho(kind=99),
        pe()[:60],
        universal((X86, b"text"), (ARM, macho())),
        ar(("a.o/", elf()))[:-70],
        b"!<arch>\nnot a header" + bytes(60),
    ],
    ids=range(15),
)
def test_what_is_broken_or_no_binary(data: bytes) -> None:
    assert identify(data) is None


def test_static_is_never_concluded_from_a_program_that_is_cut() -> None:
    """Without its table of segments nothing says that there is no interpreter."""
    data = elf(kind=2, segments=3, segments_at=64) + bytes(2 * 56)
    assert identify(data) is None
    assert identify(data + bytes(56)) is not None


def test_a_huge_count_costs_little() -> None:
    member = ar(("x/", b""))[8:]
    assert identify(b"!<arch>\n" + member * 300_000) is not None
    assert identify(ar(("x/", b"")) + b"x" * 60) is None


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert identify(tmp_path / "pipe") is None
    assert identify(tmp_path) is None
    with pytest.raises(StorageError, match="no-such"):
        identify(tmp_path / "no-such")


SAMPLES = [
    elf(),
    elf(kind=3, segments=2, segments_at=64) + bytes(200),
    elf(machine=40, bits=32),
    macho(kind=6, name="libfoo.dylib"),
    universal((X86, macho(cpu=X86)), (ARM, macho())),
    pe(),
    coff(section=b".idata$7", data=b"foo.dll\0"),
    ar(("//", b"long.o/\n"), ("/0", elf()), ("#1/4", b"a.o\0" + macho())),
    ar(("x/", import_object("foo.dll"))),
]


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=6),
    st.binary(max_size=100),
    st.integers(0, 400),
)
def test_nothing_in_a_file_raises(
    sample: bytes, patches: list[tuple[int, bytes]], tail: bytes, cut: int
) -> None:
    data = bytearray(sample + tail)
    for position, patch in patches:
        data[position : position + len(patch)] = patch
    binary = identify(bytes(data[: len(data) - cut]))
    assert binary is None or isinstance(str(binary), str)


@given(
    st.sampled_from([b"", b"\x7fELF\2\1\1", b"!<arch>\n", b"MZ", b"\xca\xfe\xba\xbe\0\0\0"]),
    st.binary(),
)
def test_no_bytes_raise(magic: bytes, data: bytes) -> None:
    binary = identify(magic + data)
    assert binary is None or binary.fits(LINUX) in {True, False}
