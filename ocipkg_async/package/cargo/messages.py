"""What ``cargo build --message-format=json`` tells: the files that were made, and of what: pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, cast

import msgspec

from ...native.metadata import is_framework_name, is_library_name
from ...spec.decoding import convert
from .metadata import CrateTarget

_WHAT = "message of cargo"

_LIBRARY_SUFFIXES = (".a", ".lib", ".so", ".dylib", ".dll", ".wasm")
"""Static libraries, dynamic ones, and what is linked in place of a DLL: ``.dll.lib``, ``.dll.a``."""

_NATIVE = "native-static-libs:"
_NATIVE_HEADING = "link against the following native artifacts"
_NATIVE_NOTE = re.compile(rf"{_NATIVE}(?P<arguments>.*)", re.DOTALL)


class Artifact(msgspec.Struct, frozen=True):
    """One message of the kind ``compiler-artifact``: files made of one target of one crate."""

    package_id: str
    target: CrateTarget
    filenames: tuple[str, ...]
    executable: str | None = None

    @property
    def libraries(self) -> tuple[str, ...]:
        """Paths of the files that others can link or load."""
        if not self.target.is_library:
            return ()
        # The others are for rustc (.rlib, .rmeta) or for debuggers (.pdb, .dSYM, .dwp).
        return tuple(name for name in self.filenames if name.endswith(_LIBRARY_SUFFIXES))

    @property
    def programs(self) -> tuple[str, ...]:
        """Paths of the files that people run."""
        return (self.executable,) if self.executable and self.target.is_executable else ()


class _Diagnostic(msgspec.Struct, frozen=True):
    message: str
    rendered: str | None = None


class _CompilerMessage(msgspec.Struct, frozen=True):
    package_id: str
    message: _Diagnostic


class _ScriptExecuted(msgspec.Struct, frozen=True):
    package_id: str
    out_dir: str


@dataclass(frozen=True, slots=True)
class NativeLibraries:
    """What a static library needs of the system, in the order the compiler gives.

    Attributes:
        libraries: names such as ``m`` for ``-lm``.
        frameworks: names of Apple's frameworks.
        unknown: arguments of the linker that are neither.
    """

    libraries: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class BuildOutput:
    """Gathers the messages of one build that concern one crate."""

    def __init__(self, package_id: str) -> None:
        self._package_id = package_id
        self.artifacts: list[Artifact] = []
        self.native = NativeLibraries()
        self.out_dir: str | None = None

    def add(self, line: bytes) -> str | None:
        """Take in one line; return what people should read of it, if anything.

        A line that is no message of cargo comes from a program that it ran, for people to read.

        Raises:
            InvalidDocumentError: a message of cargo is not as its documentation says.
        """
        try:
            found: Any = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return line.decode(errors="replace") or None
        if not isinstance(found, dict):
            return line.decode(errors="replace")
        message = cast("dict[str, Any]", found)
        match message.get("reason"):
            case "compiler-artifact":
                artifact = convert(message, Artifact, what=_WHAT)
                if artifact.package_id == self._package_id:
                    self.artifacts.append(artifact)
            case "build-script-executed":
                script = convert(message, _ScriptExecuted, what=_WHAT)
                if script.package_id == self._package_id:
                    self.out_dir = script.out_dir
            case "compiler-message":
                return self._diagnostic(convert(message, _CompilerMessage, what=_WHAT))
            case _:
                pass
        return None

    def _diagnostic(self, message: _CompilerMessage) -> str | None:
        text = message.message.message
        note = _NATIVE_NOTE.fullmatch(text)
        if note is not None:
            if message.package_id == self._package_id:
                self.native = native_libraries(note["arguments"].split())
            return None
        if text.startswith(_NATIVE_HEADING):
            return None
        return (message.message.rendered or text).removesuffix("\n")


def file_name(path: str) -> str:
    """Return the last part of a path, of this system or of Windows."""
    return PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name


def native_libraries(arguments: Iterable[str]) -> NativeLibraries:
    """Read the linker's arguments that rustc prints for ``--print native-static-libs``.

    They are written for the target's usual linker: ``-lm``, ``-framework Security``,
    ``kernel32.lib``. What the runtime of Microsoft's compiler is called is left out, since a program
    that is compiled with it says so itself.
    """
    libraries: dict[str, None] = {}
    frameworks: dict[str, None] = {}
    unknown: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in {"-framework", "-weak_framework"}:
            name = next(rest, "")
            if is_framework_name(name):
                frameworks[name] = None
            else:
                unknown.append(f"{argument} {name}")
        elif argument.startswith("-l") and is_library_name(argument[2:]):
            libraries[argument[2:]] = None
        elif argument.lower().endswith(".lib") and is_library_name(argument[:-4]):
            libraries[argument[:-4]] = None
        elif not argument.lower().startswith(("/defaultlib:", "-defaultlib:")):
            unknown.append(argument)
    return NativeLibraries(tuple(libraries), tuple(frameworks), tuple(unknown))
