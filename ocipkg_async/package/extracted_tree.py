"""The tree of what was extracted so far, in memory and on the disk, changed together."""

from collections.abc import Callable

from ..errors import UnsafeArchiveError
from .entry_names import Parts, folded
from .file_digests import FileDigest
from .folders import Folder, through_link
from .listing import Listed, ListedFile, ListedFolder, ListedLink
from .tar_reader import Kind

_IMPLIED_MODE = 0o755


class Content:
    """What is in a file, which may have several names."""

    __slots__ = ("digest", "executable", "mtime_ns", "size")

    def __init__(
        self, *, size: int, executable: bool, mtime_ns: int, digest: FileDigest | str
    ) -> None:
        self.size = size
        self.executable = executable
        self.mtime_ns = mtime_ns
        self.digest = digest


class Node:
    """One path that exists. For a folder, `layer` is the last layer that touched anything in it.

    `content` and `target` are known of files and links, where a listing is wanted.
    """

    __slots__ = (
        *("children", "cleared", "content", "folds", "kind"),
        *("layer", "mode", "mtime_s", "size", "target"),
    )

    def __init__(self, kind: Kind, layer: int, size: int = 0) -> None:
        self.kind = kind
        self.layer = layer
        self.size = size
        self.children: dict[str, Node] = {}
        self.folds: dict[str, str] | None = None
        self.cleared = 0  # the layer that last hid what lower layers have in here
        self.mode = 0
        self.mtime_s = 0.0
        self.content: Content | None = None
        self.target = ""

    def listed(self) -> ListedFolder:
        """Return what is in this folder; the digests are settled."""
        children: dict[str, Listed] = {}
        for name, child in self.children.items():
            content = child.content
            if child.kind is Kind.DIRECTORY:
                children[name] = child.listed()
            elif child.kind is Kind.SYMLINK:
                children[name] = ListedLink(child.target)
            elif content is not None:
                digest = content.digest
                children[name] = ListedFile(
                    size=content.size,
                    executable=content.executable,
                    mtime_ns=content.mtime_ns,
                    digest=digest if isinstance(digest, str) else digest.text,
                )
        return ListedFolder(children)


class Tree:
    """Knows every path, the layer it came from, and keeps the way to the last folder open.

    Special files exist in memory only. Every method that writes raises `OSError`.

    Args:
        root: the open folder; closed by `close`.
        folds: refuse names in one folder that fold together (S-30).
        check: called for each folder that is removed or hidden.
        implied: called for each folder that no entry of its own made before.
    """

    def __init__(
        self,
        root: Folder,
        *,
        folds: bool,
        check: Callable[[], None],
        implied: Callable[[], None],
    ) -> None:
        self.files = 0
        self.bytes = 0
        self._folds = folds
        self._check = check
        self._implied = implied
        self._layer = 0
        self._replace = True
        self.root = Node(Kind.DIRECTORY, 0)
        # The way to the folder of the last entry: archives keep a folder's entries together.
        self._way: list[tuple[str, Folder, Node]] = [("", root, self.root)]

    def close(self) -> None:
        """Close all folders."""
        self._leave(0)

    def begin_layer(self, *, replace: bool) -> None:
        """Count the next layer; with `replace` its entries may replace those of lower ones."""
        self._leave(1)
        self._layer += 1
        self._replace = replace

    def find(self, parts: Parts) -> Node | None:
        """Return what is at a path, following nothing."""
        node: Node | None = self.root
        for part in parts:
            if node is None:
                break
            node = node.children.get(part)
        return node

    def enter(self, parts: Parts) -> Folder:
        """Open a folder, making it and its parents where they are missing.

        Raises:
            UnsafeArchiveError: a part of the way is a link or a file.
        """
        return self._enter(parts)[0]

    def place(self, parts: Parts, kind: Kind) -> tuple[Folder, str]:
        """Make a path free for a new entry: its folder is there, and what it replaces is gone (I-65).

        Only a folder over a folder leaves what is there.

        Raises:
            UnsafeArchiveError: the way leads through a link or a file, one layer has the path as
                two kinds, the path may not be replaced, or its name folds into another.
        """
        folder, parent = self._enter(parts[:-1])
        name = parts[-1]
        old = parent.children.get(name)
        if old is None:
            self._check_fold(parent, parts)
        elif old.kind is not Kind.DIRECTORY or kind is not Kind.DIRECTORY:
            if old.layer == self._layer and old.kind is not kind:
                raise UnsafeArchiveError(
                    f"{'/'.join(parts)!r} is a {old.kind.value} and a {kind.value} in one layer",
                    hint="do not trust this package, or ask its author",
                )
            if old.layer < self._layer and not self._replace:
                raise UnsafeArchiveError(
                    f"two layers hold {'/'.join(parts)!r}",
                    hint="each file of an artifact must have a path of its own",
                )
            self._remove(folder, parent, name)
            self._check_fold(parent, parts)
        return folder, name

    def add(self, parts: Parts, kind: Kind, *, size: int = 0) -> Node:
        """Note what was written at a path that `place` made free."""
        parent = self._way[-1][2]
        node = parent.children.get(parts[-1])
        if node is None:
            node = parent.children[parts[-1]] = Node(kind, self._layer, size)
            self.files += kind is Kind.FILE
            self.bytes += size
        node.layer = self._layer
        for _, _, folder_node in self._way:
            folder_node.layer = self._layer
        return node

    def open_apart(self, parts: Parts) -> Folder:
        """Open an existing folder beside the current one; the caller closes it."""
        folder = self._way[0][1].child(".") if not parts else self._way[0][1].child(parts[0])
        for part in parts[1:]:
            with folder:
                folder = folder.child(part)
        return folder

    def hide(self, parts: Parts, name: str) -> None:
        """Remove what lower layers have at `name` in a folder (I-62); missing is no error."""
        if self._is_folder(parts):
            folder, node = self._enter(parts)
            self._hide(folder, node, name)

    def hide_all(self, parts: Parts) -> None:
        """Remove all that lower layers have below a folder, and nothing of this layer (I-63)."""
        if self._is_folder(parts):
            folder, node = self._enter(parts)
            self._clear(folder, node)

    def _is_folder(self, parts: Parts) -> bool:
        node = self.find(parts)
        return node is not None and node.kind is Kind.DIRECTORY

    def _hide(self, folder: Folder, node: Node, name: str) -> None:
        child = node.children.get(name)
        if child is None:
            return
        if child.layer < self._layer:
            self._remove(folder, node, name)
        elif child.kind is Kind.DIRECTORY:
            with folder.child(name) as inner:
                self._clear(inner, child)

    def _clear(self, folder: Folder, node: Node) -> None:
        if node.cleared == self._layer:
            return  # else a thousand whiteouts would scan the same folder a thousand times
        node.cleared = self._layer
        self._check()
        for name in list(node.children):
            self._hide(folder, node, name)

    def _remove(self, folder: Folder, parent: Node, name: str) -> None:
        node = parent.children.pop(name)
        if parent.folds is not None:
            parent.folds.pop(folded(name), None)
        self._erase(folder, name, node)

    def _erase(self, folder: Folder, name: str, node: Node) -> None:
        if node.kind is Kind.DIRECTORY:
            self._check()
            with folder.child(name) as inner:
                for child_name, child in node.children.items():
                    self._erase(inner, child_name, child)
            folder.rmdir(name)
        elif node.kind in {Kind.FILE, Kind.SYMLINK}:
            folder.unlink(name)
            self.files -= node.kind is Kind.FILE
            self.bytes -= node.size

    def _check_fold(self, parent: Node, parts: Parts) -> None:
        if not self._folds:
            return
        if parent.folds is None:
            parent.folds = {}
        name = parts[-1]
        other = parent.folds.setdefault(folded(name), name)
        if other != name:
            raise UnsafeArchiveError(
                f"{'/'.join(parts)!r} and {other!r} are one name on some file systems",
                hint="rename one of them in the package",
            )

    def _enter(self, parts: Parts) -> tuple[Folder, Node]:
        common = 0
        while common < min(len(parts), len(self._way) - 1):
            if self._way[common + 1][0] != parts[common]:
                break
            common += 1
        self._leave(common + 1)
        for depth in range(common, len(parts)):
            self._descend(parts[: depth + 1])
        _, folder, node = self._way[-1]
        return folder, node

    def _descend(self, parts: Parts) -> None:
        _, folder, node = self._way[-1]
        name = parts[-1]
        child = node.children.get(name)
        if child is None:
            self._check_fold(node, parts)
            self._implied()
            folder.make(name, _IMPLIED_MODE)
            child = node.children[name] = Node(Kind.DIRECTORY, self._layer)
        elif child.kind is not Kind.DIRECTORY:
            raise through_link(folder.path / name)
        self._way.append((name, folder.child(name), child))

    def _leave(self, length: int) -> None:
        while len(self._way) > length:
            self._way.pop()[1].close()
