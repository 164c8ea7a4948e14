"""What cargo's messages say was made, on every system; and what a static library needs."""

import json
from typing import Any

import pytest

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.package.cargo.messages import (
    Artifact,
    BuildOutput,
    NativeLibraries,
    file_name,
    native_libraries,
)

ID = "path+file:///work/foo#foo@0.1.0"


def artifact(
    *filenames: str, kind: tuple[str, ...] = ("cdylib",), package_id: str = ID, **more: Any
) -> bytes:
    """A message as cargo 1.95 prints it."""
    target = {
        "kind": kind,
        "crate_types": [one for one in kind if one not in {"example", "custom-build"}] or ["bin"],
        "name": "foo",
        "src_path": "/work/foo/src/lib.rs",
        "edition": "2021",
        "doc": True,
        "doctest": True,
        "test": True,
    }
    message: dict[str, Any] = {
        "reason": "compiler-artifact",
        "package_id": package_id,
        "manifest_path": "/work/foo/Cargo.toml",
        "target": target,
        "profile": {"opt_level": "3", "debuginfo": 0, "debug_assertions": False, "test": False},
        "features": [],
        "filenames": filenames,
        "executable": None,
        "fresh": False,
    }
    return json.dumps({**message, **more}).encode()


def diagnostic(text: str, *, rendered: str | None = None, package_id: str = ID) -> bytes:
    message: dict[str, Any] = {
        "message": text,
        "rendered": rendered,
        "level": "note",
        "spans": [],
        "code": None,
    }
    return json.dumps(
        {"reason": "compiler-message", "package_id": package_id, "message": message}
    ).encode()


def gathered(*lines: bytes) -> list[Artifact]:
    output = BuildOutput(ID)
    assert [output.add(line) for line in lines] == [None] * len(lines)
    return output.artifacts


@pytest.mark.parametrize(
    ("kind", "filenames", "kept"),
    [
        (
            ("staticlib", "cdylib", "rlib"),
            ("/t/release/libfoo.a", "/t/release/libfoo.so", "/t/release/libfoo.rlib"),
            ["libfoo.a", "libfoo.so"],
        ),
        (
            ("cdylib", "staticlib"),
            ("/t/debug/libfoo.dylib", "/t/debug/libfoo.a", "/t/debug/libfoo.dylib.dSYM"),
            ["libfoo.dylib", "libfoo.a"],
        ),
        (
            ("cdylib", "staticlib", "lib"),
            (
                r"C:\t\debug\foo.dll",
                r"C:\t\debug\foo.dll.lib",
                r"C:\t\debug\foo.dll.exp",
                r"C:\t\debug\foo.pdb",
                r"C:\t\debug\foo.lib",
                r"C:\t\debug\libfoo.rlib",
                r"C:\t\debug\deps\libfoo-1.rmeta",
            ),
            ["foo.dll", "foo.dll.lib", "foo.lib"],
        ),
        (("cdylib",), (r"C:\t\foo.dll", r"C:\t\libfoo.dll.a"), ["foo.dll", "libfoo.dll.a"]),
        (("dylib",), ("/t/debug/libfoo.so",), ["libfoo.so"]),
        (("cdylib",), ("/t/wasm32-wasip1/debug/foo.wasm",), ["foo.wasm"]),
        (("lib",), ("/t/debug/libfoo.rlib", "/t/debug/deps/libfoo-1.rmeta"), []),
        (("proc-macro",), ("/t/debug/deps/libfoo-1.so",), []),
        (("example",), ("/t/debug/examples/libfoo.so",), []),
        (("test",), ("/t/debug/deps/foo-1",), []),
    ],
)
def test_libraries(kind: tuple[str, ...], filenames: tuple[str, ...], kept: list[str]) -> None:
    (one,) = gathered(artifact(*filenames, kind=kind))
    assert [file_name(path) for path in one.libraries] == kept


def test_executables_are_told_by_cargo() -> None:
    program, script, example = gathered(
        artifact(r"C:\t\foo.exe", r"C:\t\foo.pdb", kind=("bin",), executable=r"C:\t\debug\foo.exe"),
        artifact("/t/debug/build/foo-1/build-script-build", kind=("custom-build",)),
        artifact("/t/debug/examples/a", kind=("example",), executable="/t/debug/examples/a"),
    )
    assert [file_name(path) for path in program.programs] == ["foo.exe"]
    assert program.libraries == ()
    assert script.programs == ()
    assert example.programs == ()


def test_other_crates_and_unknown_messages_are_left_aside() -> None:
    assert (
        gathered(
            artifact("/t/libbar.so", package_id="path+file:///work/bar#0.1.0"),
            b'{"reason":"build-finished","success":true}',
            b'{"reason":"something-new","answer":42}',
        )
        == []
    )


def test_output_folder_of_the_build_script() -> None:
    output = BuildOutput(ID)
    script = {"reason": "build-script-executed", "package_id": ID, "out_dir": "/t/out", "env": []}
    output.add(json.dumps({**script, "package_id": "other", "out_dir": "/t/no"}).encode())
    assert output.out_dir is None
    output.add(json.dumps(script).encode())
    assert output.out_dir == "/t/out"


def test_what_people_read() -> None:
    output = BuildOutput(ID)
    assert output.add(diagnostic("unused", rendered="warning: unused\n\n")) == "warning: unused\n"
    assert output.add(diagnostic("bare")) == "bare"
    assert output.add(diagnostic("of another crate", package_id="other")) == "of another crate"
    assert output.add(b"a build tool printed \xff this") == "a build tool printed � this"
    assert output.add(b"[1, 2]") == "[1, 2]"
    assert output.add(b"") is None


def test_native_libraries_are_a_note_of_the_compiler() -> None:
    output = BuildOutput(ID)
    heading = "link against the following native artifacts when linking against this library"
    assert output.add(diagnostic(heading, rendered=f"note: {heading}\n")) is None
    assert output.add(diagnostic("native-static-libs: -lbar", package_id="other")) is None
    assert output.native == NativeLibraries()
    text = "native-static-libs: -lgcc_s -lm -lc"
    assert output.add(diagnostic(text, rendered=f"note: {text}\n\n")) is None
    assert output.native == NativeLibraries(("gcc_s", "m", "c"))


@pytest.mark.parametrize(
    ("arguments", "libraries", "frameworks", "unknown"),
    [
        ("-lgcc_s -lutil -lm -lm -ldl", ["gcc_s", "util", "m", "dl"], [], []),
        ("-framework Security -liconv -framework CoreFoundation -lSystem", ["iconv", "System"],
         ["Security", "CoreFoundation"], []),
        ("kernel32.lib ws2_32.lib /defaultlib:msvcrt", ["kernel32", "ws2_32"], [], []),
        ("-lm -Wl,--as-needed -l:libz.a -pthread", ["m"], [], ["-Wl,--as-needed", "-l:libz.a",
                                                               "-pthread"]),
        ("-framework odd~name -lm", ["m"], [], ["-framework odd~name"]),
        ("", [], [], []),
    ],
)  # fmt: skip
def test_native_library_arguments(
    arguments: str, libraries: list[str], frameworks: list[str], unknown: list[str]
) -> None:
    found = native_libraries(arguments.split())
    assert found == NativeLibraries(tuple(libraries), tuple(frameworks), tuple(unknown))


@pytest.mark.parametrize(
    "line",
    [
        b'{"reason":"compiler-artifact","package_id":"x"}',
        b'{"reason":"compiler-message","package_id":"x","message":"text"}',
        b'{"reason":"build-script-executed","package_id":"x","out_dir":7}',
    ],
)
def test_message_of_another_form(line: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="message of cargo"):
        BuildOutput(ID).add(line)
