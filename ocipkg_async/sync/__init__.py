"""The blocking facade: the same verbs for scripts, over the same async core.

Example:
    ::

        from ocipkg_async.sync import Client

        with Client() as client:
            print(client.get("ghcr.io/org/pkg:v1").path)

A client runs one event loop in one thread of its own, for as long as its ``with`` block. It may be
called from several threads. What to know:

- Ctrl-C during a call cancels the work in the loop before `KeyboardInterrupt` is raised; the
  client can be used again.
- A call from a coroutine blocks that coroutine's loop; it works, as notebooks need it, and warns.
- The callback ``on_event`` runs in the client's thread: it must neither block nor call the client.
- After a fork the child must make a client of its own; using the parent's raises `ClosedError`.
"""

from .client import Client

__all__ = ["Client"]
