"""The crate that is packed, and a build of it for one target."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...content.threads import run_in_thread
from ...errors import InvalidArgumentError, InvalidPackageError
from ...native import LinkMetadata
from ...spec import Platform
from .files import find_files, find_headers, join_named
from .invoking import Cargo
from .messages import BuildOutput, file_name
from .metadata import Crate, Workspace, choose_crate, read_workspace
from .options import CargoOptions
from .settings import CrateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCrate:
    """What a build for one target made.

    Attributes:
        named: the files to pack, by their names in the package.
        platform: what they are for.
        triple: the same, as rustc calls it.
        link: how the package wants to be linked.
        unknown: linker arguments that the static library needs, and that `link` cannot say.
    """

    named: dict[str, Path]
    platform: Platform
    triple: str
    link: LinkMetadata
    unknown: tuple[str, ...] = ()


async def find_crate(cargo: Cargo, options: CargoOptions) -> tuple[Workspace, Crate]:
    """Ask cargo for the workspace, and choose the crate to pack.

    Raises:
        BuildError: cargo failed, for instance since there is no Cargo.toml.
        NotFoundError: cargo is not installed.
        InvalidArgumentError, InvalidPackageError: as `choose_crate`.
    """
    where = ["--manifest-path", str(options.manifest)] if options.manifest else []
    located = await cargo.output(["locate-project", "--message-format=plain", *where])
    document = await cargo.output(["metadata", "--format-version=1", "--no-deps", *where])
    workspace = read_workspace(document)
    manifest = os.fsdecode(located.strip())
    return workspace, choose_crate(workspace, name=options.package, manifest=manifest)


async def build_crate(
    cargo: Cargo,
    workspace: Workspace,
    crate: Crate,
    settings: CrateSettings,
    options: CargoOptions,
    *,
    triple: str | None = None,
    headers: Sequence[str] = (),
) -> BuiltCrate:
    """Build a crate for one target, and find what to pack.

    Args:
        cargo: runs it.
        workspace: has the crate.
        crate: what to build.
        settings: say which headers and files are packed, and how the package is linked.
        options: how to build.
        triple: what for; None is what cargo builds for by itself.
        headers: further globs of headers.

    Raises:
        BuildError: cargo failed; it carries cargo's status and the end of its output.
        NotFoundError: cargo or rustc is not installed.
        InvalidPackageError: nothing to pack was made, or two files would have one name.
        InvalidArgumentError: a glob names nothing, or cargo was told of several targets.
        InvalidPlatformError: the target is for no operating system that is known.
    """
    flags = options.flags(crate, triple)
    # What a build does not make for its own sake is told too, as it lies among the dependencies.
    made, programs = BuildOutput(crate.id), BuildOutput(crate.id)
    await _build_libraries(cargo, crate, flags, made)
    if crate.has_executables:
        await cargo.build(["build", "--bins", *flags], programs)
    libraries = [path for one in made.artifacts for path in one.libraries]
    executables = [path for one in programs.artifacts for path in one.programs]
    out_dir = made.out_dir or programs.out_dir
    if not libraries and not executables:
        raise InvalidPackageError(
            f"cargo made nothing of {crate.name} that can be packed",
            hint="its programs may need features; give --features",
        )
    found = _triple(workspace, [*libraries, *executables])
    triple = triple or found or await cargo.host()
    named = await run_in_thread(
        lambda: join_named(
            # At the root, where ocipkg looks for libraries.
            {file_name(path): Path(path) for path in libraries},
            {f"bin/{file_name(path)}": Path(path) for path in executables},
            find_headers(crate.folder, (*settings.headers, *headers), out_dir=out_dir),
            find_files(crate.folder, settings.files, out_dir=out_dir),
        )
    )
    return BuiltCrate(
        named=named,
        platform=Platform.from_target_triple(triple),
        triple=triple,
        link=settings.link.metadata(
            system_libraries=made.native.libraries, frameworks=made.native.frameworks
        ),
        unknown=made.native.unknown,
    )


async def _build_libraries(
    cargo: Cargo, crate: Crate, flags: list[str], output: BuildOutput
) -> None:
    if crate.has_static_library:
        # What the library needs of the system is known to the compiler alone. It tells again when
        # nothing is to be done, since cargo keeps its messages.
        print_native = ["--", "--print=native-static-libs"]
        await cargo.build(["rustc", "--lib", *flags, *print_native], output)
    elif crate.has_libraries:
        await cargo.build(["build", "--lib", *flags], output)


def _triple(workspace: Workspace, names: Sequence[str]) -> str | None:
    """Return the target that files were built for, or None for the host.

    A target comes from the command line, the environment or a configuration file, and cargo's
    messages do not name it; the folder does: ``TARGET/debug`` below the target directory.
    """
    root = Path(workspace.target_directory)
    paths = [Path(name) for name in names]
    folders = {
        path.parent.relative_to(root).parts[:-1] for path in paths if path.is_relative_to(root)
    }
    if len(folders) > 1:
        names = ", ".join(sorted(parts[0] if parts else "the host's" for parts in folders))
        raise InvalidArgumentError(
            f"cargo built for several targets at once: {names}", hint="give each with --target"
        )
    (parts,) = folders or {()}
    return parts[0] if parts else None
