"""``cargo``: build a crate and make, or push, its package."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, get_args

import click

from ..client import CratePackage
from ..errors import BuildError, InvalidArgumentError
from ..package import Compression, PackageFormat
from ..package.cargo import CargoOptions, OnOutput, ignore_output
from .session import Session, command, descriptor_json
from .values import KeyValue

_CARGO = (
    click.option(
        "--manifest-path",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The crate's Cargo.toml  [default: found from the current folder].",
    ),
    click.option(
        "-p", "--package", metavar="NAME", help="Which package of the workspace to build."
    ),
    click.option(
        "-F",
        "--features",
        metavar="NAMES",
        multiple=True,
        help="Features to build with, by commas or repeated.",
    ),
    click.option("--all-features", is_flag=True, help="Build with all features."),
    click.option("--no-default-features", is_flag=True, help="Build without the default features."),
    click.option("-r", "--release", is_flag=True, help="Build with the profile release."),
    click.option("--profile", metavar="NAME", help="Build with this profile."),
    click.option(
        "--target",
        "targets",
        metavar="TRIPLE",
        multiple=True,
        help="Build for this target; several make one index.",
    ),
)
_PACKAGE = (
    click.option(
        "-t", "--tag", metavar="REF", help="Name of the package  [default: by Cargo.toml]."
    ),
    click.option(
        "--headers",
        metavar="GLOB",
        multiple=True,
        help="Headers to pack, such as include/**/*.h, or $OUT_DIR/*.h of a build script; may be"
        " repeated.",
    ),
    click.option(
        "-a",
        "--annotation",
        type=KeyValue(),
        multiple=True,
        help="Annotation; wins over Cargo.toml; may be repeated.",
    ),
    click.option(
        "--allow-dirty",
        is_flag=True,
        help="Build from sources that are not committed, and mark the package as dirty.",
    ),
    click.option(
        "--format",
        "package_format",
        type=click.Choice(get_args(PackageFormat)),
        default="ocipkg-v1",
        show_default=True,
        help="ocipkg-v0 is an image, which ocipkg before 0.3 reads too.",
    ),
    click.option(
        "--compression",
        type=click.Choice(["gzip", "zstd"]),
        default="gzip",
        show_default=True,
        help="Of the layer; ocipkg itself reads gzip only.",
    ),
    click.option("--level", type=int, help="Compression level  [default: 2 for gzip, 3 for zstd]."),
)
_ARGUMENTS = click.argument("arguments", nargs=-1, metavar="[-- CARGO_ARGUMENT...]")


def _options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def decorate(body: Any) -> Any:
        for option in reversed([one for group in groups for one in group]):
            body = option(body)
        return _ARGUMENTS(body)

    return decorate


@command(
    registry=True,
    pushing=True,
    epilog="""\b
Examples:
  ocipkg-async cargo build --release
  ocipkg-async cargo build -p foo -t REF --headers 'include/**/*.h'
  ocipkg-async cargo build --target x86_64-unknown-linux-gnu \\
    --target aarch64-apple-darwin
  ocipkg-async cargo build -o foo.tar -- --locked --jobs 2
""",
)
@_options(
    _CARGO,
    (
        click.option(
            "-o",
            "--output",
            metavar="TARGET",
            help="FILE.tar for an archive, oci:DIR for a layout, a reference to push directly"
            "  [default: ocipkg/NAME-VERSION.tar in the target directory].",
        ),
        click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists."),
    ),
    _PACKAGE,
)
async def build(
    session: Session, *, output: str | None, overwrite: bool, tag: str | None, **given: Any
) -> None:
    """Build a crate and make a package of its libraries and programs.

    Prints where the package is. Libraries lie at its root, programs in bin/, headers in include/.
    Cargo.toml says what it is called: [package.metadata.ocipkg] registry = "ghcr.io/org/foo", with
    tag = "{version}" or "{commit}", which is the default in a git repository; headers and files
    list globs, link tells more than the compiler does. Arguments after -- are cargo's. When cargo
    fails its exit code is ours.
    """
    cargo = _Cargo(session)
    async with session.client() as client:
        with cargo:
            made = await client.cargo_build(
                output, name=tag, overwrite=overwrite, **cargo.arguments(given)
            )
    session.note(f"{made.name}@{made.descriptor.digest}")
    session.result(made.target, _json(made))


@command(
    registry=True,
    pushing=True,
    epilog="""\b
Examples:
  ocipkg-async cargo publish --release
  ocipkg-async cargo publish -p foo -t ghcr.io/org/foo:1.2 -- --locked
""",
)
@_options(_CARGO, _PACKAGE)
async def publish(session: Session, *, tag: str | None, **given: Any) -> None:
    """Build a crate and push the package of its libraries and programs.

    Prints its reference with the digest. All else is as for build, which writes an archive.
    """
    cargo = _Cargo(session)
    async with session.client() as client:
        with cargo:
            made = await client.cargo_publish(tag, **cargo.arguments(given))
    if not given["release"] and given["profile"] is None:
        session.note("this is a debug build, as cargo makes by default; see --release")
    session.result(f"{made.name}@{made.descriptor.digest}", _json(made))


class _Cargo:
    """Shows what cargo says while a block runs, and what it said when it failed."""

    def __init__(self, session: Session) -> None:
        self._quiet = session.quiet
        # Asked before a progress bar stands between.
        self._colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._quiet and isinstance(error, BuildError) and error.output:
            self._show(error.output)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return what was given, as arguments of the client's verbs."""
        on_output: OnOutput = ignore_output if self._quiet else self._show
        return {
            "options": _cargo_options(given, colour=self._colour),
            "headers": given["headers"],
            "format": given["package_format"],
            "compression": Compression(algorithm=given["compression"], level=given["level"]),
            "annotations": dict(given["annotation"]),
            "allow_dirty": given["allow_dirty"],
            "on_output": on_output,
        }

    def _show(self, text: str) -> None:
        click.echo(text, err=True, color=self._colour)


def _cargo_options(given: dict[str, Any], *, colour: bool) -> CargoOptions:
    profile = given["profile"]
    if given["release"]:
        if profile not in {None, "release"}:
            raise InvalidArgumentError(
                f"--release and --profile {profile} contradict each other", hint="leave out one"
            )
        profile = "release"
    return CargoOptions(
        manifest=given["manifest_path"],
        package=given["package"],
        features=given["features"],
        all_features=given["all_features"],
        no_default_features=given["no_default_features"],
        profile=profile,
        targets=given["targets"],
        arguments=given["arguments"],
        color=colour,
    )


def _json(made: CratePackage) -> dict[str, Any]:
    return {
        "crate": made.crate,
        "version": made.version,
        "target": made.target,
        "name": made.name,
        "platforms": [str(platform) for platform in made.platforms],
        **descriptor_json(made.descriptor),
    }


@click.group("cargo")
def cargo() -> None:
    """Build a crate and make or push its package."""


cargo.add_command(build, "build")
cargo.add_command(publish, "publish")
COMMAND = cargo
