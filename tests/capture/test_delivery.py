"""The name of an image, whatever happens at any call to the repository: the old one or the new one, whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest
from blake3 import blake3
from msgspec.structs import replace

from ogagent.capture import delivery as deliveries
from ogagent.capture.delivery import Delivery, Sidecars
from ogagent.errors import AgentError, ImageLocked, ImageNotKept
from tests.capture.memory_store import Died, Files, MemoryStore

OLD: Final = b"the old image"
NEW: Final = b"a new and longer image"
SAME_SIZE: Final = bytes(len(OLD))
OLDER: Final = b"the one before"
BEFORE: Final[Files] = {
    "x.img": OLD,
    "x.img.info": b"old info",
    "x.img.full.sum": b"old sum",
    "x.img.index": b"old index",
    "x.img.index.sig": b"old signature",
    "x.img.torrent": b"old torrent",
    "x.img.ant": OLDER,
    "x.img.ant.info": b"older info",
    "y.img": b"another image",
    "y.img.lock": b"CrearImagen-22222222\n",
}
SIDECARS: Final[Sidecars] = {".info": b"new info", ".full.sum": b"new sum", ".sum": b"s", ".index": b"new index"}
AFTER: Final[Files] = {
    "x.img": NEW,
    **{f"x.img{suffix}": content for suffix, content in SIDECARS.items()},
    "x.img.ant": OLD,
    "x.img.ant.info": b"old info",
    "x.img.ant.full.sum": b"old sum",
    "x.img.ant.index": b"old index",
    "x.img.ant.index.sig": b"old signature",
    "y.img": b"another image",
    "y.img.lock": b"CrearImagen-22222222\n",
}
FIRST: Final = Delivery(name="x.img", job_id="CrearImagen-11111111")


class Agent:
    """Makes the image ``new``; ``note`` is what its journal holds when it dies."""

    def __init__(self, store: MemoryStore, new: bytes = NEW, *, keep_previous: bool = True) -> None:
        self.store = store
        self.new = new
        self.keep_previous = keep_previous
        self.note = FIRST

    async def make(self) -> None:
        store, new, delivery = self.store, self.new, FIRST

        async def chunks() -> Iterator[bytes]:  # type: ignore[misc]
            yield new

        try:
            await deliveries.begin(store, delivery)
            await store.stream(delivery.part, chunks())  # type: ignore[arg-type]
            await deliveries.put_sidecars(store, delivery, SIDECARS)
            if store.files.get(delivery.part) != new:  # as reading it back would find
                raise ImageNotKept("it is not there")
            delivery = replace(
                delivery,
                size=len(new),
                digest=blake3(new).hexdigest(),
                sidecars={suffix: blake3(content).hexdigest() for suffix, content in SIDECARS.items()},
            )
            await deliveries.check_lock(store, delivery)
            replaces = await deliveries.keep(store, delivery)
            self.note = delivery = replace(delivery, stage="renaming", replaces=replaces)
            await self._rename(delivery)
        except AgentError:
            if self.note.stage == "made":
                await deliveries.end(store, delivery)
            raise

    async def _rename(self, delivery: Delivery) -> None:
        try:
            await deliveries.rename(
                self.store, delivery, prover(self.store, delivery), keep_previous=self.keep_previous
            )
        except AgentError:
            await deliveries.put_back(self.store, delivery)
            self.note = replace(delivery, stage="made")
            raise


def prover(store: MemoryStore, delivery: Delivery) -> deliveries.Prove:
    async def prove(name: str) -> bool:
        return blake3(store.files.get(name, b"")).hexdigest() == delivery.digest

    return prove


def check_history(store: MemoryStore, new: bytes = NEW) -> None:
    """At each moment, and whoever else looks."""
    for files in store.history:
        assert files.get("x.img") in (OLD, new)
        assert files.get("x.img.ant") in (OLDER, OLD, None)
        fits_old = all(files.get(name) == BEFORE.get(name) for name in BEFORE if name.startswith("x.img."))
        fits_new = all(files.get(f"x.img{suffix}") == content for suffix, content in SIDECARS.items())
        mixed = not (fits_new if files["x.img"] == new else fits_old or files.get("x.img.index") == b"old index")
        assert not mixed or "x.img.lock" in files
        owner = BEFORE if files.get("x.img.ant") == OLDER else {f"x.img.ant{name[5:]}": BEFORE[name] for name in BEFORE}
        assert all(files[name] == owner.get(name) for name in files if name.startswith("x.img.ant."))
        assert files["y.img"] == b"another image"
        assert files["y.img.lock"] == BEFORE["y.img.lock"]


def shown(files: Files) -> Files:
    """But for the copy of what has the name anyway."""
    return {name: content for name, content in files.items() if not name.startswith("x.img.ant")}


async def how_many_calls() -> int:
    store = MemoryStore(dict(BEFORE))
    await Agent(store).make()
    return len(store.calls)


async def test_it_gets_its_name_and_the_one_before_stays() -> None:
    store = MemoryStore(dict(BEFORE))
    await Agent(store).make()
    assert store.files == AFTER
    check_history(store)


async def test_where_there_was_none() -> None:
    store = MemoryStore({})
    await Agent(store).make()
    assert store.files == {name: content for name, content in AFTER.items() if name[0] == "x" and ".ant" not in name}


async def test_without_the_one_before() -> None:
    store = MemoryStore(dict(BEFORE))
    await Agent(store, keep_previous=False).make()
    assert store.files == {name: content for name, content in AFTER.items() if ".ant" not in name}
    check_history(store)


async def test_whatever_call_fails() -> None:
    """Once, and the repository is there again: what was begun is undone, or done."""
    for at in range(await how_many_calls()):
        store = MemoryStore(dict(BEFORE), at, "passing")
        failed = False
        try:
            await Agent(store).make()
        except AgentError:
            failed = True
        assert failed or shown(store.files) == shown(AFTER), store.calls[at]
        if shown(store.files) != shown(AFTER):  # the last call, that removes the lock, may be the one that failed
            assert {**shown(store.files), "x.img.torrent": b"old torrent"} in (
                shown(BEFORE),
                {**shown(AFTER), "x.img.torrent": b"old torrent", "x.img.lock": b"CrearImagen-11111111\n"},
                {**shown(BEFORE), "x.img.lock": b"CrearImagen-11111111\n"},
            ), store.calls[at]
        check_history(store)


@pytest.mark.parametrize("new", [NEW, SAME_SIZE])
async def test_whatever_call_is_answered_and_not_done(new: bytes) -> None:
    for at in range(await how_many_calls()):
        store = MemoryStore(dict(BEFORE), at, "ignored")
        failed = False
        try:
            await Agent(store, new).make()
        except AgentError:
            failed = True
        assert store.files["x.img"] == (OLD if failed else new), store.calls[at]
        check_history(store, new)


async def test_whatever_is_renamed_lands_elsewhere() -> None:
    for at in range(await how_many_calls()):
        store = MemoryStore(dict(BEFORE), at, "elsewhere")
        failed = False
        try:
            await Agent(store).make()
        except AgentError:
            failed = True
        store.files.pop("elsewhere", None)
        assert store.files["x.img"] == (OLD if failed else NEW), store.calls[at]
        check_history(store)


@pytest.mark.parametrize("how", ["passing", "ignored", "elsewhere", "away"])
async def test_whatever_fails_where_the_one_before_does_not_stay(how: str) -> None:
    """It goes when nobody needs it any more: something has the name all the time."""
    well = MemoryStore(dict(BEFORE))
    await Agent(well, keep_previous=False).make()
    for at in range(len(well.calls)):
        store = MemoryStore(dict(BEFORE), at, how)
        with suppress(AgentError):
            await Agent(store, keep_previous=False).make()
        check_history(store)


@pytest.mark.parametrize("how", ["passing", "ignored"])
async def test_an_agent_that_dies_while_it_puts_back(how: str) -> None:
    """The next one puts back what is left of it, or brings it to its end."""
    for at in range(await how_many_calls()):
        for dies_at in range(at + 1, at + 40):
            store = MemoryStore(dict(BEFORE), at, how, dies_at)
            agent = Agent(store)
            try:
                await agent.make()
            except AgentError:
                break
            except Died:
                pass
            else:
                break
            following = MemoryStore(dict(store.files))
            try:
                done = await deliveries.settle(following, agent.note, prover(following, agent.note), keep_previous=True)
            except AgentError:
                done = False
            check_history(store)
            check_history(following)
            assert following.files["x.img"] == (NEW if done else OLD), (store.calls, following.calls)
            assert not [name for name in following.files if name.startswith(".") or name == "x.img.lock"]


async def test_what_somebody_else_has_made_since_stays() -> None:
    """The agent died when all was done, and is started again after another one has made the image anew."""
    store = MemoryStore(dict(BEFORE))
    agent = Agent(store)
    await agent.make()
    store.files = {**store.files, "x.img": b"newer", "x.img.index": b"newer index"}
    now = dict(store.files)
    assert not await deliveries.settle(store, agent.note, prover(store, agent.note), keep_previous=True)
    assert store.files == now


async def test_a_repository_that_goes_away() -> None:
    """At the last call, which only looks, all is done."""
    last = await how_many_calls() - 1
    for at in range(last):
        store = MemoryStore(dict(BEFORE), at, "away")
        with pytest.raises(AgentError):
            await Agent(store).make()
        check_history(store)
    store = MemoryStore(dict(BEFORE), last, "away")
    await Agent(store).make()
    assert store.files == AFTER


@pytest.mark.parametrize("how", ["dies", "dies-after"])
async def test_an_agent_that_dies_at_any_moment(how: str) -> None:
    """The next one brings it to its end, or leaves nothing of it; and dies itself, and so on."""
    for at in range(await how_many_calls()):
        store = MemoryStore(dict(BEFORE), at, how)
        agent = Agent(store)
        with suppress(Died):
            await agent.make()
        check_history(store)
        for again in range(40):
            repeated = MemoryStore(dict(store.files), again, how)
            with suppress(Died):
                await settle(repeated, agent.note)
                check_end(repeated.files, agent.note)
            check_history(repeated)
            await settle(following := MemoryStore(dict(repeated.files)), agent.note)
            check_end(following.files, agent.note)
            check_history(following)


async def settle(store: MemoryStore, note: Delivery) -> bool:
    done = await deliveries.settle(store, note, prover(store, note), keep_previous=True)
    assert done == (note.stage == "renaming")
    return done


def check_end(files: Files, note: Delivery) -> None:
    wanted = AFTER if note.stage == "renaming" or files["x.img"] == NEW else BEFORE
    assert shown(files) == shown(wanted)


async def test_who_comes_second_is_told() -> None:
    store = MemoryStore({**BEFORE, "x.img.lock": b"CrearImagen-33333333\n"})
    with pytest.raises(ImageLocked, match="locked"):
        await Agent(store).make()
    assert store.files == {**BEFORE, "x.img.lock": b"CrearImagen-33333333\n"}


async def test_of_two_that_looked_at_the_same_time_one_gives_way() -> None:
    store = MemoryStore(dict(BEFORE))
    await deliveries.begin(store, FIRST)
    await store.put("x.img.lock", b"CrearImagen-33333333\n")
    with pytest.raises(ImageLocked):
        await deliveries.check_lock(store, FIRST)
    await deliveries.end(store, FIRST)
    assert store.files["x.img.lock"] == b"CrearImagen-33333333\n"
