"""What a package says about linking it: the ``link`` object of its config, the table of its TOML.

ocipkg ignores further keys of the config (ocipkg.md section 4), so its readers are not disturbed.
"""

import msgspec


class LinkMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How a package wants to be linked; all of it is optional, and what is left out is found out.

    Attributes:
        libraries: names of its libraries in link order, each before what it needs: ``foo`` for
            ``libfoo.a``. Others of the package are not linked.
        system_libraries: names of libraries of the system that those need, such as ``m``.
        frameworks: names of Apple's frameworks that those need.
        include: folders with headers, as slash-separated paths in the package; ``.`` is its root.
        defines: preprocessor macros that users of the headers need, ``NAME`` or ``NAME=VALUE``.
    """

    libraries: tuple[str, ...] = ()
    system_libraries: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
