"""Files to packages and artifacts, and back."""

from .artifact import push_artifact
from .artifact_file import ArtifactFile
from .builder import LayerInfo, pack, source_date_epoch
from .compress import Compression

__all__ = [
    "ArtifactFile",
    "Compression",
    "LayerInfo",
    "pack",
    "push_artifact",
    "source_date_epoch",
]
