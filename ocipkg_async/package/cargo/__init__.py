"""A crate's package: built by cargo, named and described by its Cargo.toml and git."""

from .build import BuiltCrate, build_crate, find_crate
from .git import read_revision
from .invoking import Cargo, OnOutput, ignore_output
from .metadata import Crate, Workspace
from .naming import Revision, check_clean, crate_annotations, package_reference
from .options import CargoOptions
from .settings import CrateSettings

__all__ = [
    "BuiltCrate",
    "Cargo",
    "CargoOptions",
    "Crate",
    "CrateSettings",
    "OnOutput",
    "Revision",
    "Workspace",
    "build_crate",
    "check_clean",
    "crate_annotations",
    "find_crate",
    "ignore_output",
    "package_reference",
    "read_revision",
]
