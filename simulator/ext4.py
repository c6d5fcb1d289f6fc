"""ext4 file systems in files, made and read with e2fsprogs alone: no mount, no root."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Final

from simulator.errors import ToolFailed
from simulator.partclone_writer import UsedBlocks
from simulator.processes import run
from simulator.tree import Kind, Node, Tree

BLOCK_SIZE: Final = 4096
_SECTOR: Final = 512
_PIECE: Final = 1 << 20
# Named one by one, so that the host's mke2fs.conf and the version of e2fsprogs have no say.
_FEATURES: Final = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize,metadata_csum"
)
# Reproducible: e2fsprogs take this for the time, in the superblock and in every inode (seconds; 25 April 2024).
_FIXED_TIME: Final = {"E2FSPROGS_FAKE_TIME": "1714003200", "SOURCE_DATE_EPOCH": "1714003200"}
_FILE_TYPES: Final[dict[Kind, int]] = {"directory": stat.S_IFDIR, "file": stat.S_IFREG, "symlink": stat.S_IFLNK}
_LIST: Final = "debugfs: ls -p "
_OF_A_GROUP: Final = re.compile(r"(?:block bitmap|inode bitmap|inode table) at (\d+)")
_FREE_BLOCK: Final = re.compile(r"^Block (\d+) not in use$", re.MULTILINE)


def make_filesystem(file: Path, size: int, *, uuid: str, label: str, offset: int = 0) -> None:
    """An empty ext4 of ``size`` bytes inside ``file``; free blocks keep what they held."""
    options = f"offset={offset},hash_seed={uuid},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK_SIZE), "-I", "256", "-m", "0", "-O", _FEATURES]
    command += ["-U", uuid, "-L", label, "-E", options, str(file), str(size // BLOCK_SIZE)]
    run(command, environment=_FIXED_TIME)


def fill(file: Path, tree: Tree, *, offset: int = 0) -> None:
    """Puts ``tree`` into a file system that ``make_filesystem`` made, and has e2fsck look at the result."""
    filesystem = _at(file, offset)
    with tempfile.TemporaryDirectory(prefix="ogsim-") as directory:
        script = Path(directory, "script")
        script.write_text("".join(f"{line}\n" for line in _commands(tree, Path(directory))), encoding="utf-8")
        _, said = run(["debugfs", "-w", "-f", script, filesystem], environment=_FIXED_TIME)
    complaints = said.strip().splitlines()[1:]  # the first line is debugfs' name and version
    if complaints:
        raise ToolFailed(f"debugfs could not fill {filesystem}: {complaints[0]}")
    check(file, offset=offset)


def change(file: Path, before: Tree, after: Tree, *, offset: int = 0) -> None:
    """Makes of a file system that holds ``before`` one that holds ``after``, and has e2fsck look at the result."""
    gone = [path for path, node in before.items() if after.get(path) != node and node.kind != "directory"]
    new = {path: node for path, node in after.items() if before.get(path) != node}
    if not gone and not new:
        return
    filesystem = _at(file, offset)
    with tempfile.TemporaryDirectory(prefix="ogsim-") as directory:
        script = Path(directory, "script")
        lines = [*(f"rm {_quoted(path)}" for path in gone), *_commands(dict(sorted(new.items())), Path(directory))]
        script.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        _, said = run(["debugfs", "-w", "-f", script, filesystem], environment=_FIXED_TIME)
    complaints = said.strip().splitlines()[1:]
    if complaints:
        raise ToolFailed(f"debugfs could not change {filesystem}: {complaints[0]}")
    check(file, offset=offset)


def grow(file: Path, size: int, *, offset: int = 0) -> None:
    """To ``size`` bytes. In a copy: resize2fs makes a file as long as its file system, whatever else is in it."""
    with tempfile.TemporaryDirectory(prefix="ogsim-") as directory:
        copy = Path(directory, "filesystem")
        _copy(file, offset, copy, 0, size)
        run(["e2fsck", "-f", "-y", str(copy)])
        run(["resize2fs", str(copy), f"{size // _SECTOR}s"], timeout_s=600)
        _copy(copy, 0, file, offset, size)


def _copy(source: Path, at: int, target: Path, to: int, length: int) -> None:
    """Zeros where there are none stay a hole."""
    target.touch()
    with source.open("rb") as reading, target.open("r+b") as writing:
        for start in range(0, length, _PIECE):
            count = min(_PIECE, length - start)
            piece = os.pread(reading.fileno(), count, at + start)
            if piece != os.pread(writing.fileno(), count, to + start):
                os.pwrite(writing.fileno(), piece, to + start)
        writing.truncate(max(target.stat().st_size, to + length))


def size_of(file: Path, *, offset: int = 0) -> int:
    """Bytes of the file system."""
    listing = _superblock(_at(file, offset))
    return _number(listing, "Block count") * _number(listing, "Block size")


def check(file: Path, *, offset: int = 0) -> None:
    """Raises ToolFailed when e2fsck finds anything at all."""
    run(["e2fsck", "-f", "-n", _at(file, offset)])


def read_file(file: Path, path: str, *, offset: int = 0) -> str:
    """The text of one file, empty when it is not there; symlinks are not followed."""
    text, _ = run(["debugfs", "-R", f"cat {_quoted(path)}", _at(file, offset)])
    return text


def read_tree(file: Path, *, offset: int = 0) -> dict[str, Node]:
    """Everything that a file system holds. Of several names of one inode, all but the first are hard links."""
    filesystem = _at(file, offset)
    with tempfile.TemporaryDirectory(prefix="ogsim-") as scratch:
        # Modes and owners are read apart: without root, what is copied out cannot have them.
        copy, script = Path(scratch, "copy"), Path(scratch, "script")
        copy.mkdir()
        run(["debugfs", "-R", f"rdump / {_quoted(copy)}", filesystem])
        directories = [copy, *(found for found in copy.rglob("*") if found.is_dir() and not found.is_symlink())]
        places = [Path("/", directory.relative_to(copy)) for directory in directories]
        script.write_text("".join(f"ls -p {_quoted(place)}\n" for place in places), encoding="utf-8")
        listing, _ = run(["debugfs", "-f", script, filesystem])
        return dict(_nodes(listing, copy))


def used_blocks(filesystem: Path, *, offset: int = 0) -> UsedBlocks:
    """Every block that is not marked as free. (dumpe2fs 1.47.2 knows no offset; testb no block 0, which is used.)"""
    place = _at(filesystem, offset)
    listing, _ = run(["debugfs", "-R", "show_super_stats", place])
    count, least = _number(listing, "Block count"), max(1, _number(listing, "First block"))
    if any(int(block) >= count for block in _OF_A_GROUP.findall(listing)):
        raise ToolFailed(f"a group of {filesystem} has its tables beyond its end")
    marks, _ = run(["debugfs", "-R", f"testb {least} {count - least}", place])
    free = [int(number) for number in _FREE_BLOCK.findall(marks)]
    if len(free) != _number(listing, "Free blocks"):
        raise ToolFailed(f"debugfs contradicts itself about the free blocks of {filesystem}")
    starts, stops = [0, *(block + 1 for block in free)], [*free, count]
    used = tuple(range(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop)
    return UsedBlocks(block_size=_number(listing, "Block size"), block_count=count, ranges=used)


def _superblock(place: str) -> str:
    return run(["debugfs", "-R", "show_super_stats -h", place])[0]


def _number(listing: str, name: str) -> int:
    found = re.search(rf"^{name}: +(\d+)$", listing, re.MULTILINE)
    if not found:
        raise ToolFailed(f"debugfs does not tell the {name.lower()}")
    return int(found[1])


def _at(file: Path, offset: int) -> str:
    """How e2fsprogs are told of a file system inside a file."""
    return f"{file}?offset={offset}"


def _nodes(listing: str, copy: Path) -> Iterator[tuple[str, Node]]:
    first_names: dict[str, str] = {}
    for path, inode, mode, uid, gid in sorted(_listed(listing)):
        first = first_names.setdefault(inode, path)
        yield path, _node(copy / path[1:], first if first != path else "", mode, uid, gid)


def _listed(listing: str) -> Iterator[tuple[str, str, int, int, int]]:
    """From debugfs' ``/inode/mode/uid/gid/name/size/``, each directory after a line with the command that lists it."""
    directory = Path("/")
    for line in listing.splitlines():
        if line.startswith(_LIST):
            directory = Path(_unquoted(line.removeprefix(_LIST)))
        elif line.startswith("/"):
            _, inode, mode, uid, gid, name, *_ = line.split("/")
            if inode != "0" and name not in {".", "..", "lost+found"}:  # 0: an entry that is free
                yield str(directory / name), inode, int(mode, 8), int(uid), int(gid)


def _node(copied: Path, shared_with: str, mode: int, uid: int, gid: int) -> Node:
    if shared_with:
        return Node(kind="hard link", target=shared_with)
    kind = {kind: name for name, kind in _FILE_TYPES.items()}.get(stat.S_IFMT(mode))
    if kind is None:
        raise ToolFailed(f"{copied} is neither a file, a directory nor a symlink")
    content = copied.read_bytes() if kind == "file" else b""
    target = str(copied.readlink()) if kind == "symlink" else ""
    return Node(kind=kind, mode=stat.S_IMODE(mode), uid=uid, gid=gid, content=content, target=target)


def _commands(tree: Tree, directory: Path) -> Iterable[str]:
    """For debugfs. Some of its commands take a name in the current directory only, so all get one."""
    for number, (path, node) in enumerate(tree.items()):
        place, name = _quoted(path), _quoted(PurePosixPath(path).name)
        yield f"cd {_quoted(PurePosixPath(path).parent)}"
        match node.kind:
            case "directory":
                yield f"mkdir {name}"
            case "symlink":
                yield f"symlink {name} {_quoted(node.target)}"
            case "hard link":
                yield f"ln {_quoted(node.target)} {name}"
                yield f"set_inode_field {place} links_count {_links(tree, node.target)}"
                continue
            case "file":
                source = directory / str(number)
                source.write_bytes(node.content)
                yield f"write {_quoted(source)} {name}"
        yield f"set_inode_field {place} mode 0{_FILE_TYPES[node.kind] | node.mode:o}"
        yield f"set_inode_field {place} uid {node.uid}"
        yield f"set_inode_field {place} gid {node.gid}"


def _quoted(name: str | PurePath) -> str:
    """As one word of a command of debugfs: within quotes only a quote is special, and is written twice."""
    return '"{}"'.format(str(name).replace('"', '""'))


def _unquoted(word: str) -> str:
    return word[1:-1].replace('""', '"')


def _links(tree: Tree, path: str) -> int:
    return 1 + sum(1 for node in tree.values() if node.kind == "hard link" and node.target == path)
