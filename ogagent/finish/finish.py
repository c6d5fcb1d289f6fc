"""A partition that holds its image is made ready: the PC boots from it, as itself.

All is told before it is begun; each step looks afterwards whether it holds, and may be repeated. What is done stands in
the books, so that whoever comes after a kill goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec
from msgspec import Struct

from ogagent.errors import AgentError, DeviceError, FilesystemNotSupported, FinishError, NotReady
from ogagent.finish.hook import Job
from ogagent.finish.machine import FinishMachine, View
from ogagent.finish.place import Place, Volume
from ogagent.finish.plan import Site, boot_sector_steps, needed_esp, steps_of
from ogagent.finish.step import Step
from ogagent.finish.system import System, system_in
from ogagent.model.job import JobStep, Phase, StepState
from ogagent.model.progress import JobProgress
from ogagent.settings import FinishSettings
from ogagent.system.patience import in_thread
from ogagent.system.reading import read_device
from ogagent.system.tree import TooLarge

_log: Final = logging.getLogger(__name__)


class Note(Struct, frozen=True):
    """What the books keep: names of the steps that hold."""

    done: tuple[str, ...] = ()


async def make_ready(
    machine: FinishMachine,
    place: Place,
    settings: FinishSettings,
    job: Job,
    progress: JobProgress,
    note: bytes = b"",
) -> None:
    """Returns when every step holds. ``note`` is what an earlier agent has left of it.

    Raises FinishError, which names the step; with ``finish.on_failure = "warn"`` it is a warning of the job.
    """
    progress.enter(Phase.FINISHING)
    steps = _Steps(progress, _done(note))
    try:
        try:
            await _carried_out(machine, place, settings, job, steps)
        except AgentError as error:
            raise _as_finish_error(error) from error
        except (OSError, TooLarge) as error:
            raise NotReady(f"{place.target.name} cannot be worked on: {error}") from error
    except FinishError as error:
        if settings.on_failure == "fail":
            raise
        steps.warn(error)
    finally:
        progress.enter(None)


async def foreseen(machine: FinishMachine, place: Place, settings: FinishSettings) -> tuple[JobStep, ...]:
    """What ``make_ready`` would do to what lies there now. Nothing is changed. Raises AgentError."""
    volume = place.volume
    found: list[Step] = []
    if settings.grow and (step := machine.grow(volume)):
        found.append(step)
    async with _looked_at(machine, place, settings) as site:
        if site is not None:
            found += boot_sector_steps(machine, volume, system_in(site.files, volume), settings.boot)
            found += await steps_of(site, settings, Job(), lambda _: None)
        return tuple([_shown(step, "waiting" if await step.needed() else "not-needed") for step in found])


async def _carried_out(machine: FinishMachine, place: Place, settings: FinishSettings, job: Job, steps: _Steps) -> None:
    volume = place.volume
    if settings.grow and (step := machine.grow(volume)):
        steps.expect([step])
        await steps.see_to(step)

    async def inside(view: View) -> None:
        async with AsyncExitStack() as stack:
            root = await stack.enter_async_context(view.mounted(volume))
            if settings.grow and (step := machine.grow_mounted(volume, view, root)):
                steps.expect([step])
                await steps.see_to(step)
            esp = needed_esp(place, root.files, settings)
            mounted_esp = await stack.enter_async_context(view.mounted(esp)) if esp else None
            site = Site(
                place=place,
                files=root.files,
                folder=machine.folder,
                look=machine.look,
                esp=mounted_esp.files if mounted_esp else None,
                path=root.path,
                view=view,
                below=root.below,
            )
            planned = await steps_of(site, settings, job, steps.warn)
            steps.expect(planned)
            for step in planned:
                await steps.see_to(step)

    try:
        system = await _system(machine, volume)
        steps.expect(unmounted := boot_sector_steps(machine, volume, system, settings.boot))
        for step in unmounted:
            await steps.see_to(step)
        if system or settings.hook or (settings.grow and await _grows_mounted(machine, volume)):
            await machine.in_view(inside)
    except FilesystemNotSupported as error:  # so it holds no system that anybody knows
        steps.warn(NotReady(error.message, hint=error.hint))


async def _system(machine: FinishMachine, volume: Volume) -> System | None:
    """To mount it so that it can be written to changes it already: nobody does that to what holds none."""
    async with machine.look(volume) as look:
        return await look.ask(lambda files: system_in(files, volume))


async def _grows_mounted(machine: FinishMachine, volume: Volume) -> bool:
    return await read_device(volume.target.device, lambda: machine.grows_mounted(volume))


@asynccontextmanager
async def _looked_at(machine: FinishMachine, place: Place, settings: FinishSettings) -> AsyncIterator[Site | None]:
    async with AsyncExitStack() as stack:
        try:
            root = await stack.enter_async_context(machine.look(place.volume))
        except FilesystemNotSupported:
            yield None
            return
        esp = await root.ask(lambda files: needed_esp(place, files, settings))
        esp_root = await stack.enter_async_context(machine.look(esp)) if esp else None
        esp_files = esp_root.files if esp_root else None
        yield Site(
            place=place,
            files=root.files,
            folder=machine.folder,
            look=machine.look,
            esp=esp_files,
            below=root.below,
        )


class _Steps:
    """Shows them, and keeps the books of them. What was done before is passed over."""

    def __init__(self, progress: JobProgress, done: Iterable[str]) -> None:
        self._progress = progress
        self._done = list(done)
        self._expected: list[Step] = []

    def expect(self, steps: Sequence[Step]) -> None:
        self._expected += steps
        self._progress.steps += [_shown(step, "waiting") for step in steps]

    def warn(self, error: AgentError) -> None:
        if error.der not in self._progress.warnings:
            _log.warning("%s", error.message)
            self._progress.warnings.append(error.der)

    async def see_to(self, step: Step) -> None:
        """Raises what the step does, with its name."""
        began = time.monotonic()
        if step.name in self._done:
            self._show(step, "done", began)
            return
        self._show(step, "running", began)
        try:
            if not await step.needed():
                self._tell(step)
                self._show(step, "not-needed", began)
                return
            await step.do()
            await step.proof()
            self._tell(step)
        except AgentError as error:
            self._show(step, "failed", began)
            raise _named(step, error) from error
        except BaseException:
            self._show(step, "failed", began)
            raise
        self._show(step, "done", began)
        _log.info("%s: %s (%.1f s)", step.name, step.would, time.monotonic() - began)
        self._done.append(step.name)
        note = msgspec.json.encode(Note(tuple(self._done)))
        await in_thread(self._progress.books.noting, note)

    def _tell(self, step: Step) -> None:
        for warning in step.warnings:
            self.warn(NotReady(f"{step.name}: {warning}"))

    def _show(self, step: Step, state: StepState, began: float) -> None:
        seconds = round(time.monotonic() - began, 3)
        self._progress.steps[self._expected.index(step)] = _shown(step, state, seconds)


def _shown(step: Step, state: StepState, seconds: float = 0.0) -> JobStep:
    return JobStep(name=step.name, state=state, would=step.would, seconds=seconds)


def _named(step: Step, error: AgentError) -> AgentError:
    if isinstance(error, DeviceError):
        return error
    kind = type(error) if isinstance(error, FinishError) else NotReady
    return kind(f"{step.name}: {error.message}", hint=error.hint)


def _as_finish_error(error: AgentError) -> AgentError:
    """What is known more exactly keeps its number."""
    return error if isinstance(error, FinishError | DeviceError) else NotReady(error.message, hint=error.hint)


def _done(note: bytes) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(note, type=Note).done if note else ()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()  # of another version: every step may be repeated
