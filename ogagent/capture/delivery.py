"""How an image gets its name: made beside it, proven, and only then in its place; the one before stays as ``.ant``.

Whoever looks while the names change finds ``NAME.lock``. At no moment is there no image, and none is ever half of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Literal

from blake3 import blake3
from msgspec import Struct, field

from ogagent.capture.proof import LOOK
from ogagent.capture.store import Store
from ogagent.errors import AgentError, ImageLocked, ImageNotKept
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.index import LARGEST_INDEX
from ogagent.model.units import MIB

LOCK: Final = ".lock"
PREVIOUS: Final = ".ant"
_LONGEST_MARK: Final = 1024
_BESIDE: Final = (".info", ".sum", ".full.sum", image_index.SUFFIX, signature.SUFFIX)
"""What lies beside an image, in the order in which it is renamed: an index is never without its signature."""
_STALE: Final = ".torrent"
"""Of the image before; OpenGnsys' torrent-creator makes it again."""

Sidecars = dict[str, bytes]
"""Content by suffix."""
Stage = Literal["made", "renaming"]
Prove = Callable[[str], Awaitable[bool]]


class Delivery(Struct, frozen=True, kw_only=True):
    """All that an agent must know that ends what another one has begun. ``replaces``: there is an image of this name,
    which ``keep`` has kept. Once they are known, ``digest`` is BLAKE3 of the new image, ``size`` that of its file, and
    ``sidecars`` BLAKE3 of what will lie beside it, by suffix.
    """

    name: str
    job_id: str
    stage: Stage = "made"
    size: int = 0
    digest: str = ""
    sidecars: Mapping[str, str] = field(default_factory=dict)
    replaces: bool = False

    @property
    def part(self) -> str:
        """No repository takes a file of this name for an image."""
        return f".{self.name}.{self.job_id}.part"

    @property
    def lock(self) -> str:
        return f"{self.name}{LOCK}"

    @property
    def previous(self) -> str:
        return f"{self.name}{PREVIOUS}"


async def refuse_locked(store: Store, delivery: Delivery) -> None:
    """Raises ImageLocked."""
    if await store.look(delivery.lock) is not None:
        raise _locked(store, delivery)


async def begin(store: Store, delivery: Delivery) -> None:
    """Nobody else makes this image from now on, and nobody takes it. Raises ImageLocked, ImageNotKept.

    The lock is written under another name: one that is half written would be nobody's, and stay.
    """
    await refuse_locked(store, delivery)
    await _put(store, delivery.part, _mark(delivery), LOCK)
    await _move(store, delivery.part, delivery.lock)
    await check_lock(store, delivery)


async def check_lock(store: Store, delivery: Delivery) -> None:
    """Two may have looked before either wrote: the one that wrote last has it. Raises ImageLocked."""
    if await store.read(delivery.lock, _LONGEST_MARK) != _mark(delivery):
        raise _locked(store, delivery)


async def put_sidecars(store: Store, delivery: Delivery, sidecars: Sidecars) -> None:
    """Beside the image that is being made. Raises ImageNotKept for one that is not there then."""
    for suffix, content in sidecars.items():
        await _put(store, f"{delivery.part}{suffix}", content, suffix)


async def keep(store: Store, delivery: Delivery) -> bool:
    """The image that has the name by now gets a second one, with all that lies beside it. False: there is none.

    Where this ends half-way, nothing lies beside the second one that belongs to another image.
    """
    if await store.look(delivery.name) is None:
        return False
    for suffix in _BESIDE:
        await _remove(store, f"{delivery.previous}{suffix}")
    for suffix in ("", *_BESIDE):
        if await store.look(f"{delivery.name}{suffix}") is not None:
            await _copy(store, f"{delivery.name}{suffix}", f"{delivery.part}{PREVIOUS}", f"{delivery.previous}{suffix}")
    return True


async def rename(store: Store, delivery: Delivery, prove: Prove, *, keep_previous: bool) -> None:
    """The image that was made, and proven, gets its name. Raises ImageNotKept; ``put_back`` undoes what was renamed.

    What was done already, by an agent that has died since, is not done again. ``prove`` reads an image to its end.
    """
    for suffix in _BESIDE:
        name, digest = f"{delivery.name}{suffix}", delivery.sidecars.get(suffix)
        if digest is None:
            await _remove(store, name)
        elif not await _move(store, f"{delivery.part}{suffix}", name) and await _digest(store, name) != digest:
            raise _not_renamed(store, name)
    await _remove(store, f"{delivery.name}{_STALE}")
    if not await _move(store, delivery.part, delivery.name) and not await prove(delivery.name):
        raise _not_renamed(store, delivery.name)
    await _remove_parts(store, delivery)
    if await store.read(delivery.lock, _LONGEST_MARK) != _mark(delivery):
        raise ImageNotKept(f"{store.url(delivery.lock)} has gone, and so may all have that was renamed", hint=LOOK)
    await store.remove(delivery.lock)
    if await _has_gone(store, delivery.name):  # a share that was unmounted is an empty one, which removes anything
        raise ImageNotKept(f"{store.url(delivery.name)} has gone as soon as it was there", hint=LOOK)
    if not keep_previous:  # what is put back if need be, until now
        with suppress(AgentError):
            for suffix in (*_BESIDE, ""):
                await store.remove(f"{delivery.previous}{suffix}")


async def _has_gone(store: Store, name: str) -> bool:
    """Known to have: all was done, and who cannot tell now says nothing against it."""
    with suppress(AgentError):
        return await store.look(name) is None
    return False


async def put_back(store: Store, delivery: Delivery) -> None:
    """What had the names before has them again. Raises ImageNotKept where that is not there any more."""
    if delivery.replaces and await store.look(delivery.previous) is None:
        raise ImageNotKept(f"{store.url(delivery.previous)}, which would be put back, is not there", hint=LOOK)
    for suffix in (*_BESIDE, ""):
        name, previous = f"{delivery.name}{suffix}", f"{delivery.previous}{suffix}"
        kept = await store.look(previous) if delivery.replaces else None
        if kept is None:
            await store.remove(name)
        elif await store.look(name) != kept or (suffix and not await _alike(store, name, previous)):
            await _copy(store, previous, f"{delivery.part}{PREVIOUS}", name)


async def end(store: Store, delivery: Delivery) -> None:
    """Nothing of it is left but what has its name."""
    await _remove_parts(store, delivery)
    if await store.read(delivery.lock, _LONGEST_MARK) == _mark(delivery):
        await store.remove(delivery.lock)


async def _remove_parts(store: Store, delivery: Delivery) -> None:
    for suffix in ("", PREVIOUS, *_BESIDE):
        await store.remove(f"{delivery.part}{suffix}")  # also what there may be of it that cannot be seen
        await _remove(store, f"{delivery.part}{suffix}")


async def settle(store: Store, delivery: Delivery, prove: Prove, *, keep_previous: bool) -> bool:
    """After the death of the agent that began it: whether the image has its name, which it gets if it was proven.

    When it cannot get it what had it before has it again, and the reason is raised.
    """
    if delivery.stage == "made":
        await end(store, delivery)
        return False
    if await store.read(delivery.lock, _LONGEST_MARK) != _mark(delivery):
        return await prove(delivery.name)  # it was renamed, or put back, and somebody else may have been there since
    try:
        await rename(store, delivery, prove, keep_previous=keep_previous)
    except AgentError:
        await put_back(store, delivery)
        await end(store, delivery)
        raise
    return True


async def _put(store: Store, name: str, content: bytes, what: str) -> None:
    await store.put(name, content)
    if await store.read(name, len(content) + 1) != content:
        raise ImageNotKept(f"the repository has not kept {what} of the image as it was sent", hint=LOOK)


async def _copy(store: Store, name: str, part: str, to: str) -> None:
    """By way of ``part``: half a copy has no name. Raises ImageNotKept."""
    await store.copy(name, part)
    original, copied = await store.look(name), await store.look(part)
    if original is None or copied is None or original.size != copied.size:
        raise ImageNotKept(f"the repository says that it has copied {store.url(name)}, but has not", hint=LOOK)
    await _move(store, part, to)


async def _move(store: Store, part: str, name: str) -> bool:
    """Whether that is known to be done: a renamed file has the size, and the tag, that it had. Raises ImageNotKept when
    it is known not to be.

    A part that is not there was renamed already, by an agent that has died since.
    """
    made = await store.look(part)
    if made is not None:
        await store.move(part, name)
    found = await store.look(name)
    other = found is None or (made is not None and found.size != made.size)
    if found is None or other or await store.look(part) is not None:
        raise _not_renamed(store, name)
    return found == made and found.tag != ""


async def _remove(store: Store, name: str) -> None:
    """Raises ImageNotKept when it is still there."""
    if await store.look(name) is None:
        return
    await store.remove(name)
    if await store.look(name) is not None:
        raise ImageNotKept(f"the repository says that it has removed {store.url(name)}, and it is there", hint=LOOK)


async def _alike(store: Store, name: str, other: str) -> bool:
    """Sidecars: tags of servers that count seconds and bytes alone tell no two of them apart."""
    return await _digest(store, name) == await _digest(store, other)


async def _digest(store: Store, name: str) -> str:
    return blake3(await store.read(name, LARGEST_INDEX) or b"").hexdigest()


def _not_renamed(store: Store, name: str) -> ImageNotKept:
    return ImageNotKept(
        f"the repository says that it has renamed what was sent, but {store.url(name)} is something else", hint=LOOK
    )


def _mark(delivery: Delivery) -> bytes:
    return f"{delivery.job_id}\n".encode()


def _locked(store: Store, delivery: Delivery) -> ImageLocked:
    return ImageLocked(
        f"{store.url(delivery.name)} is locked",
        hint=f"wait until the work on it has ended, or remove a stale {delivery.lock}",
    )


class Sums:
    """MD5 of an image file, and of its last MiB, taken from the bytes as they pass."""

    def __init__(self) -> None:
        self._whole = hashlib.md5(usedforsecurity=False)
        self._tail = bytearray()

    def add(self, data: bytes) -> None:
        self._whole.update(data)
        self._tail += data[-MIB:]
        del self._tail[:-MIB]

    def sidecars(self) -> Sidecars:
        tail = hashlib.md5(self._tail, usedforsecurity=False).hexdigest()
        return {".full.sum": f"{self._whole.hexdigest()}\n".encode(), ".sum": f"{tail}\n".encode()}
