"""Names of a folder that are imported when they are first used.

For the folders that the HTTP library is loaded with: a build that links an installed package, and
every ``--help``, does without.
"""

import importlib
import sys
from collections.abc import Mapping


def late_name(package: str, homes: Mapping[str, str], name: str) -> object:
    """Import a name, and leave it in its folder's namespace; for ``__getattr__`` of the folder.

    Args:
        package: the folder's ``__name__``.
        homes: its names, each with the module that has it.
        name: what is looked for.

    Raises:
        AttributeError: the folder has no such name.
    """
    home = homes.get(name)
    if home is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", package), name)
    setattr(sys.modules[package], name, value)
    return value
