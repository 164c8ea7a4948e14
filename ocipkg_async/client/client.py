"""The client: one entry point for everything a user does.

Example:
    ::

        async with Client() as client:
            package = await client.get("ghcr.io/org/pkg:v1")
            print(package.path)
"""

from .composing import ComposingVerbs
from .crates import CrateVerbs
from .keeping import KeepingVerbs
from .linking import LinkingVerbs
from .locking import LockingVerbs
from .looking import LookingVerbs
from .packing import PackingVerbs


class Client(
    PackingVerbs,
    ComposingVerbs,
    CrateVerbs,
    LinkingVerbs,
    LockingVerbs,
    LookingVerbs,
    KeepingVerbs,
):
    """Packages, registries, layouts, archives and the local store, behind one set of verbs.

    Use it as an async context manager; it owns the connections. One client serves any number of
    concurrent calls, in one event loop. A target is a reference, ``oci:DIR[:name]``,
    ``oci-archive:FILE[:name]``, or the path of a layout or archive. A platform is written
    ``linux/arm64``, or as a target triple such as ``aarch64-unknown-linux-gnu``.

    Args:
        options: how it works; `ClientOptions` has the defaults.
        credentials: where user names and passwords come from; None reads the credential files and
            helpers of Docker and podman.
        on_event: called with what happens; see `ocipkg_async.events`.
    """
