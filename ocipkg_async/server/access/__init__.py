"""Access control: who a request is from, and what they may do."""

from .entrance import Entrance, entrance
from .exposure import check_exposure, exposed_passwords, is_rebound, only_address_protects
from .guard import USER
from .options import Access

__all__ = [
    "USER",
    "Access",
    "Entrance",
    "check_exposure",
    "entrance",
    "exposed_passwords",
    "is_rebound",
    "only_address_protects",
]
