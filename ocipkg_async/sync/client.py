"""The blocking client: its verbs, put together."""

from .looking import LookingVerbs
from .making import MakingVerbs
from .moving import MovingVerbs


class Client(MakingVerbs, MovingVerbs, LookingVerbs):
    """The blocking twin of `ocipkg_async.Client`; use it in a ``with`` block.

    Args:
        options: how it works; `ClientOptions` has the defaults.
        credentials: where user names and passwords come from; None reads the credential files and
            helpers of Docker and podman.
        on_event: called with what happens, in the client's thread.
    """
