"""Files to packages and artifacts, and back."""

from .artifact import push_artifact
from .artifact_file import ArtifactFile
from .builder import pack, source_date_epoch
from .building import UnpackReport
from .compress import Compression
from .extract import Mode
from .file_list import FileKind, PackageFile, list_files, list_folder
from .formats import PackageFormat
from .install import unpack, unpack_new
from .layer_plan import Unpack
from .layer_writer import LayerInfo
from .limits import UnpackLimits
from .metadata_file import ProjectMetadata, read_metadata
from .run_config import RunConfig
from .runnable import push_runnable

__all__ = [
    "ArtifactFile",
    "Compression",
    "FileKind",
    "LayerInfo",
    "Mode",
    "PackageFile",
    "PackageFormat",
    "ProjectMetadata",
    "RunConfig",
    "Unpack",
    "UnpackLimits",
    "UnpackReport",
    "list_files",
    "list_folder",
    "pack",
    "push_artifact",
    "push_runnable",
    "read_metadata",
    "source_date_epoch",
    "unpack",
    "unpack_new",
]
