"""What users call."""

from .client import Client
from .crates import CratePackage
from .inspection import Inspection
from .options import ClientOptions
from .target import Target

__all__ = ["Client", "ClientOptions", "CratePackage", "Inspection", "Target"]
