"""Credentials that were refused, and when to go on without them. No I/O.

Stale credentials, long forgotten in some file, are to stop nobody from reading what is open to all.
Who writes must be known, so writing tries them again, and fails with them.
"""

from ...errors import RegistryError
from ..credentials.model import Credential
from ..urls import Origin
from .need import Need

AGAIN_AFTER_S = 300.0
"""Token servers in trouble refuse good credentials, too; a service is not to do without for good."""
_MAX_KEPT = 4096
"""One for each registry, or repository, that refused; a mirror sees many."""


class Refusals:
    """Which credentials of one client were refused, and by whom."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[Origin, str | None, Credential], tuple[str, float]] = {}

    def remember(
        self, need: Need, credential: Credential, reason: str, *, everywhere: bool, now_s: float
    ) -> None:
        """Remember a refusal for `AGAIN_AFTER_S`.

        Args:
            need: what was wanted.
            credential: what was refused.
            reason: who refused it, as a sentence.
            everywhere: at the whole registry. Else for this repository alone: some registries
                answer 401 to users whom they know, too, where those may not read.
            now_s: the time.
        """
        if len(self._reasons) >= _MAX_KEPT:
            self._reasons.clear()
        repository = None if everywhere else need.repository
        self._reasons[need.origin, repository, credential] = (reason, now_s + AGAIN_AFTER_S)

    def reason(self, need: Need, credential: Credential | None, *, now_s: float) -> str:
        """Return why to go on without a credential, or an empty text: it is to be used."""
        if credential is None or not need.only_reads:
            return ""
        for repository in (None, need.repository):
            reason, until_s = self._reasons.get((need.origin, repository, credential), ("", 0.0))
            if reason and until_s > now_s:
                return reason
        return ""


def advice(registry: str) -> str:
    """Return what to do about a refused credential."""
    return f"log in to {registry} again, or forget it: ocipkg-async logout {registry}"


def warning(registry: str, reason: str) -> str:
    """Return what to tell where reading went on without a credential, the same for each request."""
    return f"{reason}; going on without it, which reaches public content only. {advice(registry)}"


def explained(error: RegistryError, *, registry: str, reason: str) -> RegistryError:
    """Return the error of a request that was sent without a refused credential, with both reasons.

    Args:
        error: what the registry answered.
        registry: its name.
        reason: why no credential was sent; empty where that is not so.
    """
    if not reason or error.status not in {401, 403}:
        return error
    error.args = (f"{error}; no credential was sent, because {reason}",)
    error.hint = advice(registry)
    return error
