"""Blocking verbs that look at content, name it, and keep what is on this machine."""

from collections.abc import Sequence

from ..client import Inspection
from ..package import (
    PackageFile,
)
from ..spec import Descriptor, Platform, Reference
from ..store import Package, Problem, Pruned
from .open_client import OpenClient


class LookingVerbs(OpenClient):
    """Blocking verbs that look at content, name it, and keep what is on this machine; see `ocipkg_async.sync.Client`."""

    def resolve(
        self, target: str | Reference, *, platform: str | Platform | None = None
    ) -> Descriptor:
        """Return what a target points to: a manifest, or an index where no platform is given."""
        return self._bridge.call(self._client.resolve, target, platform=platform)

    def inspect(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> Inspection:
        """Read the document a target points to."""
        return self._bridge.call(
            self._client.inspect, target, platform=platform, installed=installed
        )

    def files(
        self,
        target: str | Reference,
        *,
        platform: str | Platform | None = None,
        installed: bool = False,
    ) -> list[PackageFile]:
        """List the files of a package, image or artifact, without unpacking it."""
        return self._bridge.call(self._client.files, target, platform=platform, installed=installed)

    def referrers(
        self, target: str | Reference, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to what a target points to: signatures, SBOMs and such."""
        return self._bridge.call(self._client.referrers, target, artifact_type=artifact_type)

    def tag(self, target: str | Reference, names: Sequence[str]) -> Descriptor:
        """Give what a target points to further tags, in the same repository or layout."""
        return self._bridge.call(self._client.tag, target, names)

    def tags(self, repository: str | Reference) -> list[str]:
        """Return all tags of a repository, or names in a layout or archive, sorted."""
        return self._bridge.call(self._client.tags, repository)

    def repositories(self, registry: str) -> list[str]:
        """Return the names of all repositories on a registry that tells, sorted."""
        return self._bridge.call(self._client.repositories, registry)

    def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name."""
        return self._bridge.call(self._client.packages)

    def find(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Return an installed package, without asking a registry."""
        return self._bridge.call(self._client.find, reference, platform=platform)

    def remove(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Remove an installed package, and what nothing else needs."""
        return self._bridge.call(self._client.remove, reference, platform=platform)

    def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove what no installed package needs, and packages that are too old or too many."""
        return self._bridge.call(
            self._client.prune, older_than_s=older_than_s, keep=keep, dry_run=dry_run
        )

    def verify(self) -> list[Problem]:
        """Check every blob and every unpacked file of the local store again."""
        return self._bridge.call(self._client.verify)

    def login(self, registry: str, username: str, password: str) -> str:
        """Check a user name and password with a registry, and keep them."""
        return self._bridge.call(self._client.login, registry, username, password)

    def logout(self, registry: str) -> bool:
        """Forget the user name and password for a registry; return whether there were any."""
        return self._bridge.call(self._client.logout, registry)
