"""``ogsim demo``: the documentation's call, from the operator's click to the user's login."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from simulator.errors import LabError
from simulator.lab.hosts import OGCORE, REPOSITORY, demo_hosts
from simulator.lab.room import Room, open_room, with_logs
from simulator.machine.classroom import SYSTEM
from simulator.proof import digest_of, digest_of_neighbours, prove_contents
from simulator.sample import IMAGE_NAME, install_system
from simulator.signals import terminated_like_interrupted
from simulator.tree import Tree, named

_MBIT: Final = 100  # a classroom's network: fast enough to watch, slow enough to see something
_TARGET: Final = "pc1"
_MODEL: Final = "modelo"
_PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.1
_KEEP_POLL_S: Final = 1.0
_CALL: Final = (
    '{"dsk":"1", "par":"2", "cpt":"83", "ifs": "1", "idi":"01936caf-facb-72ad-9446-97e7dbf2b96a", '
    '"nci":"image-test", "ipr":"%s", "nfn":"RestaurarImagen", "method": "unicast", "ids":"0"}'
)


def demo(*, keep: bool) -> None:
    """Raises LabError when a step fails; the logs are kept then, and nothing else."""
    with terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="ogsim-") as scratch:
        story = _Story(Console(highlight=False))
        try:
            with open_room(Path(scratch), demo_hosts(Path(scratch))) as room:
                story.tell(room)
                story.show_call(room, keep=keep)
                if keep:
                    _stay(room)
        except LabError as error:
            at_step = LabError(f"{story.step}: {error.message}", hint=error.hint)
            raise with_logs(at_step, Path(scratch)) from None


class _Story:
    def __init__(self, console: Console) -> None:
        self._console = console
        self.step = "checking that the addresses are free"

    def tell(self, room: Room) -> None:
        with self._step_of(f"{_MODEL} has a small Ubuntu on ext4"):
            tree = install_system(room.furnished(_MODEL).disks[0], offset=SYSTEM.start)
        with self._step_of("repository and ogCore are up"):
            room.start_servers(mbit=_MBIT)
        with self._step_of(f"{_MODEL} and {_TARGET} have booted ogLive, their agents are registered"):
            for name in room.hosts:
                room.start_client(name)
            for name in room.hosts:
                room.wait_for_state(name, "og-live")
        self._create(room)
        neighbours = digest_of_neighbours(room.hosts[_TARGET].disks[0], SYSTEM)
        trace = self._deploy(room)
        self._prove(room, tree, neighbours, trace)
        with self._step_of(f"{_TARGET} restarted from its disk: linux"):
            room.restart_from_disk(_TARGET)
            room.wait_for_state(_TARGET, "linux")
        with self._step_of("somebody logs in: linux-session"):
            room.log_in(_TARGET)
            room.wait_for_state(_TARGET, "linux-session")

    def _create(self, room: Room) -> None:
        model = digest_of(room.hosts[_MODEL].disks[0])
        with self._step_of(f"ogCore calls {_MODEL}: create {IMAGE_NAME} from partition {SYSTEM.number} of disk 1"):
            order = {"image": IMAGE_NAME, "disk": 1, "partition": SYSTEM.number, "description": "Ubuntu, as of today"}
            answer = room.ogcore.post(f"/clients/{_MODEL}/create-image", order)
        self._end(room, answer)
        with self._step_of(f"the disk of {_MODEL} is as it was, byte by byte"):
            if digest_of(room.hosts[_MODEL].disks[0]) != model:
                raise LabError(f"{answer['job_id']} changed the disk of {_MODEL}")

    def _deploy(self, room: Room) -> dict[str, Any]:
        with self._step_of(f"ogCore calls {_TARGET}: deploy {IMAGE_NAME} to partition {SYSTEM.number} of disk 1"):
            order = {"image": IMAGE_NAME, "disk": 1, "partition": SYSTEM.number, "method": "unicast"}
            answer = room.ogcore.post(f"/clients/{_TARGET}/deploy", order)
        return self._end(room, answer)

    def _end(self, room: Room, answer: dict[str, Any]) -> dict[str, Any]:
        with self._step_of(f"{answer['job_id']} has ended"):
            trace = self._follow(room, f"/traces/{answer['trace']}")
            self._show(trace)
            if trace["state"] != "success":
                raise LabError(f"the trace ended as {trace['state']}: {trace['text']}")
            if trace["violations"]:
                raise LabError(f"ogCore noted a breach of the protocol: {trace['violations'][0]['what']}")
        return trace

    def _follow(self, room: Room, path: str) -> dict[str, Any]:
        columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as bars:
            bar = bars.add_task("", total=100)
            give_up = time.monotonic() + _PATIENCE_S
            while (trace := room.ogcore.get(path))["state"] in {"pending", "in-progress"}:
                bars.update(bar, completed=trace["progress"], description=trace["phase"] or "")
                room.check()
                if time.monotonic() > give_up:
                    raise LabError(f"no final report within {_PATIENCE_S:.0f} seconds")
                time.sleep(_POLL_S)
            bars.update(bar, completed=trace["progress"])
        return trace

    def _show(self, trace: dict[str, Any]) -> None:
        table = Table(
            "trace", "command", "client", "image", "partition", "state", "message", box=None, padding=(0, 1, 0, 0)
        )
        names = ("id", "command", "client", "image", "partition", "state", "text")
        table.add_row(*(str(trace[name]) for name in names))
        self._console.print(table)

    def _prove(self, room: Room, tree: Tree, neighbours: str, trace: dict[str, Any]) -> None:
        disk = room.hosts[_TARGET].disks[0]
        with self._step_of(
            f"debugfs finds all {len(tree)} files of the image on the partition, and {_TARGET} has its name"
        ):
            prove_contents(disk, SYSTEM, named(tree, _TARGET))
        with self._step_of("the rest of the disk is as it was, byte by byte"):
            if digest_of_neighbours(disk, SYSTEM) != neighbours:
                raise LabError(f"{trace['job_id']} changed {disk} outside partition {SYSTEM.number}")

    def show_call(self, room: Room, *, keep: bool) -> None:
        host = room.hosts[_MODEL]
        url = f"{host.place.url}/CloningEngine/RestaurarImagen"
        secret = f"-H {shlex.quote(f'@{host.authorization}')} " if keep else ""
        hint = "" if keep else " (ogsim demo --keep leaves the room running for it)"
        self._console.print(f"\nThe same call to {_MODEL}, by hand{hint}:", soft_wrap=True)
        line = f"curl -k -X POST {secret}--data '{_CALL % REPOSITORY.address}' {url}"
        self._console.print(line, soft_wrap=True, markup=False)
        if keep:
            where = f"ogCore {OGCORE.url}  repository {REPOSITORY.url}  CA {room.authority.certificate}"
            self._console.print(f"\n{where}\nThe room stays until Ctrl-C.", soft_wrap=True, markup=False)

    @contextmanager
    def _step_of(self, what: str) -> Iterator[None]:
        """One line for a person, when it is done."""
        self.step = what
        yield
        self._console.print(f"[green]✓[/green] {what}", soft_wrap=True)


def _stay(room: Room) -> None:
    try:
        while True:
            room.check()
            time.sleep(_KEEP_POLL_S)
    except KeyboardInterrupt:
        return
