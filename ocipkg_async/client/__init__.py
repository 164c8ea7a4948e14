"""What users call."""

from .client import Client
from .inspection import Inspection
from .options import ClientOptions
from .target import Target

__all__ = ["Client", "ClientOptions", "Inspection", "Target"]
