"""All of a linkage as a JSON document, with the arguments and variables made from it."""

from typing import Any

from ..linkage import Linkage
from .arguments import compile_arguments, link_arguments
from .shell import environment


def linkage_document(linkage: Linkage, *, rpath: bool = False) -> dict[str, Any]:
    """Return a linkage as values for JSON.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.

    Raises:
        InvalidPackageError: a value cannot be an argument.
    """
    return {
        "name": linkage.name,
        "version": linkage.version,
        "description": linkage.description,
        "path": str(linkage.path),
        "platform": str(linkage.platform),
        "libraries": [
            {
                "name": library.name,
                "kind": library.kind,
                "path": str(library.path),
                "runtime": str(library.runtime) if library.runtime else None,
            }
            for library in linkage.libraries
        ],
        "search": [str(folder) for folder in linkage.search],
        "include": [str(folder) for folder in linkage.include],
        "defines": list(linkage.defines),
        "systemLibraries": list(linkage.system_libraries),
        "frameworks": list(linkage.frameworks),
        "compileArguments": compile_arguments(linkage),
        "linkArguments": link_arguments(linkage, rpath=rpath),
        "environment": {
            name: [str(folder) for folder in folders]
            for name, folders in environment(linkage).items()
        },
    }
