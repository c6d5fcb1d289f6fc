"""The only module that starts processes. Everything it starts has ended when the call returns."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import PurePath
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any, Final, NamedTuple, NoReturn, cast

from ogagent.errors import ToolFailed, ToolMissing
from ogagent.system.account import Account
from ogagent.system.child import Child
from ogagent.system.flow import FLOW, Flow
from ogagent.system.packages import package_of
from ogagent.system.patience import wait_out

_log = logging.getLogger(__name__)

# From SIGTERM to SIGKILL: a cancelled job has two seconds for everything.
_GRACE_S: Final = 0.5
# After SIGKILL only a process that waits for a dead disk stays, and nobody can end that one.
_KILL_WAIT_S: Final = 1.0

_undying: Final = dict[tuple[str, ...], int]()
"""Processes that SIGKILL did not end in time, by their commands: while one is there it is not started once more."""

# Ordinary users, and some boot environments, do not have the sbin directories in their PATH.
_STANDARD_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


async def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    max_output: int = 1 << 20,
    good: Collection[int] = (0,),
    grace_s: float = _GRACE_S,
    variables: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> bytes:
    """Standard output of a program that ended with one of the statuses ``good``. ``variables`` of its environment,
    beside those that every program has.

    Raises ToolMissing when the program is not installed; ToolFailed when it cannot be started, ends otherwise, takes
    longer than ``timeout_s`` or prints more than ``max_output`` bytes. Where it shall end early it is asked to, and
    killed when it has not ended ``grace_s`` later. It runs as ``account``, or as the agent does.
    """
    name = PurePath(argv[0]).name
    if _is_there(_undying.get(tuple(argv))):
        raise ToolFailed(f"an earlier {name} does not end", hint="look at the kernel log (dmesg)")
    starting = _start(argv, stdin, max_output, account=account, variables=variables)
    async with _running(argv, starting, grace_s) as child:
        try:
            async with asyncio.timeout(timeout_s):
                await child.ended.wait()
        except TimeoutError:
            raise ToolFailed(f"{name} did not end within {timeout_s:g} s") from None
    if child.overflowed:
        raise ToolFailed(f"{name} printed more than {max_output} bytes")
    status = child.transport.get_returncode()
    if status not in good:
        raise ToolFailed(f"{name} {child.outcome()}")
    return bytes(child.output)


async def beginning(argv: Sequence[str], *, enough: Callable[[bytearray], int], timeout_s: float) -> bytes:
    """The first bytes that a program prints, which is ended then. ``enough`` says how many, by those that have come;
    more than those for as long as it cannot tell.

    Raises as ``run`` does, also when it ends before.
    """
    async with _running(argv, _start(argv, None, 0, enough=enough)) as child:
        try:
            async with asyncio.timeout(timeout_s):
                await child.ended.wait()
        except TimeoutError:
            raise ToolFailed(f"{PurePath(argv[0]).name} did not begin within {timeout_s:g} s") from None
    if not child.has_enough():
        raise ToolFailed(f"{PurePath(argv[0]).name} {child.outcome()}")
    return bytes(child.output[: enough(child.output)])


def become(argv: Sequence[str]) -> NoReturn:
    """From here on this process is that program."""
    os.execvp(argv[0], list(argv))  # noqa: S606 - no shell


def limited(largest: int, *argv: str) -> tuple[str, ...]:
    """It is ended by SIGXFSZ when it makes a file longer than so many bytes; 0: as long as it likes."""
    return ("prlimit", f"--fsize={largest}", "--core=0", *argv) if largest else argv


class Piped(NamedTuple):
    """``output`` is a descriptor, to be read in a thread to its end; ``kill`` brings that end about."""

    output: int
    kill: Callable[[], None]


@asynccontextmanager
async def piped(argv: Sequence[str]) -> AsyncIterator[Piped]:
    """A program that prints more than memory holds. It has ended when the block has.

    Raises as ``run`` does what it ends of, when the block has not raised anything itself.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0) as theirs:
        async with _running(argv, _start(argv, None, 0, stdout=writing)) as child:
            theirs.close()
            yield Piped(reading, lambda: child.signal(signal.SIGKILL))
            await child.ended.wait()
    if child.transport.get_returncode():
        raise ToolFailed(f"{PurePath(argv[0]).name} {child.outcome()}")


@asynccontextmanager
async def flowing(
    argv: Sequence[str],
    *,
    account: Account | None = None,
    politely: signal.Signals = signal.SIGTERM,
    fds: Sequence[int] = (),
    hears: bool = False,
    mixed: bool = False,
    largest: int = 0,
) -> AsyncIterator[Flow]:
    """A program that has ended when the block has: by ``politely`` when it has not ended itself, and it gets this also
    when the agent dies; SIGPIPE, which the kernel would send before that, it does not hear. It can get no more rights
    than it has; it has the descriptors ``fds``, and, where it ``hears``, an input; ``mixed``: stderr counts as
    output. ``largest``: see ``limited``; it hears SIGPIPE then. Raises ToolMissing and ToolFailed as ``run`` does.
    """
    if not is_installed(argv[0]):
        raise _missing(argv[0])
    bound = limited(largest, "setpriv", "--pdeathsig", politely.name, "--no-new-privs", "--", *argv)
    output, loop = asyncio.StreamReader(FLOW), asyncio.get_running_loop()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe, os.fdopen(writing, "wb", buffering=0) as theirs:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, FLOW)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), pipe)
        try:
            deaf = not largest  # what does not hear SIGPIPE does not hear SIGXFSZ either
            starting = _start(
                *(bound, None, 0), stdout=writing, account=account, fds=fds, hears=hears, mixed=mixed, deaf=deaf
            )
            async with _running(argv, starting, politely=politely) as child:
                theirs.close()
                yield Flow(child, output)
        finally:
            transport.close()  # not before: what cannot print any more dies of that, and politely never comes


class Followed(NamedTuple):
    """``status`` is negative for a process that a signal ended; ``output`` the end of what it printed."""

    status: int
    output: bytes


async def follow(
    argv: Sequence[str], *, most: int, account: Account | None = None, fds: Sequence[int] = ()
) -> Followed:
    """A program that takes as long as it takes, and its last ``most`` bytes of output and stderr, as they came.
    It has the descriptors ``fds``, under the same numbers.

    Raises ToolMissing and ToolFailed when it cannot be started.
    """
    async with _running(argv, _start(argv, None, most, mixed=True, account=account, fds=fds)) as child:
        await child.ended.wait()
    status = child.transport.get_returncode()
    return Followed(-signal.SIGKILL if status is None else status, bytes(child.output))


@asynccontextmanager
async def _running(
    argv: Sequence[str],
    starting: Coroutine[Any, Any, Child],
    grace_s: float = _GRACE_S,
    politely: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[Child]:
    """It has ended when the block has. A cancel waits until it has started: asyncio would kill it without a word."""
    started = asyncio.ensure_future(starting)
    try:
        await wait_out([started])
        yield started.result()
    finally:
        if not started.cancelled() and started.exception() is None:
            await _end(started.result(), grace_s, tuple(argv), politely)


async def _start(
    argv: Sequence[str],
    stdin: bytes | None,
    max_output: int,
    *,
    mixed: bool = False,
    enough: Callable[[bytearray], int] | None = None,
    stdout: int = PIPE,
    variables: Mapping[str, str] | None = None,
    account: Account | None = None,
    fds: Sequence[int] = (),
    hears: bool = False,
    deaf: bool = False,
) -> Child:
    try:
        transport, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: Child(max_output, mixed=mixed, enough=enough),
            *argv,
            stdin=PIPE if hears or stdin is not None else DEVNULL,
            stdout=stdout,
            stderr=STDOUT if mixed else PIPE,
            env=_environment() | (account.environment if account else {}) | dict(variables or {}),
            pass_fds=fds,
            restore_signals=not deaf,
            start_new_session=True,
            **_as(account),
        )
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
    if stdin is not None:
        pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        pipe.write(stdin)
        pipe.close()
    return child


def _as(account: Account | None) -> dict[str, Any]:
    """Whoever it is already need not become it, which root alone can. In the root: her home may be out of reach."""
    if account is None:
        return {}
    if account.uid == os.geteuid():
        return {"cwd": "/"}
    return {"user": account.uid, "group": account.gid, "extra_groups": account.groups, "cwd": "/"}


def is_installed(program: str) -> bool:
    """Whether ``run`` would find it."""
    return shutil.which(program, path=_environment()["PATH"]) is not None


def _environment() -> dict[str, str]:
    inherited = os.environ.get("PATH", "").split(os.pathsep)
    path = [directory for directory in dict.fromkeys((*inherited, *_STANDARD_PATH)) if directory]
    return {"PATH": os.pathsep.join(path), "LC_ALL": "C"}


def _missing(program: str) -> ToolMissing:
    name = PurePath(program).name
    package = package_of(name)
    return ToolMissing(f"{name} is not installed", hint=f"apt install {package}" if package else "")


async def _end(
    child: Child, grace_s: float, command: tuple[str, ...], politely: signal.Signals = signal.SIGTERM
) -> None:
    """SIGKILL is sent, and nothing stays open, even when a wait is cancelled once more."""
    try:
        try:
            if not child.exited.is_set():
                child.signal(politely)
                await _within(grace_s, child.exited)
        finally:
            if not child.exited.is_set():
                child.signal(signal.SIGKILL)
        if not await _within(_KILL_WAIT_S, child.exited):
            _undying[command] = child.transport.get_pid()
            _log.error("process %d does not die", child.transport.get_pid())
    finally:
        child.transport.close()


def _is_there(pid: int | None) -> bool:
    """Whether the child runs. Nothing is taken from whoever reaps it."""
    try:
        return pid is not None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
