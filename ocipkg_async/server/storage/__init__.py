"""The folders that a registry keeps: repositories, what they refer to, and what can go."""

from .collecting import GRACE_S, Collected, collect
from .manifest_cache import ManifestCache
from .referrers import page_of_referrers
from .repositories import Repositories
from .repository import Repository
from .root_folder import LOCK, UPLOADS, root_folder

__all__ = [
    "GRACE_S",
    "LOCK",
    "UPLOADS",
    "Collected",
    "ManifestCache",
    "Repositories",
    "Repository",
    "collect",
    "page_of_referrers",
    "root_folder",
]
