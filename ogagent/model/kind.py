"""What is known of a function whoever runs one of its jobs, or has found one that an agent before has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from ogagent.model.job import Job


def _title(job: Job) -> str:
    return f"the job {job.function}"


class Kind(Struct, frozen=True, kw_only=True):
    """``name`` is ogCore's for the function, ``response`` the ``nfn`` of its final report.

    ``echoed`` are members of the request that come back there, ``disks`` whether the disks are told there as well.
    ``title`` says for people what one of its jobs is. ``lasts``: it may take long enough for the power to go meanwhile,
    and leaves nothing on a partition that would tell of it.
    """

    name: str
    response: str
    echoed: tuple[str, ...] = ()
    disks: bool = False
    lasts: bool = False
    title: Callable[[Job], str] = _title


class Kinds:
    """By name; one that this agent does not know, since another version has left the job, is like any other."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def __getitem__(self, name: str) -> Kind:
        return self._kinds.get(name) or Kind(name=name, response=f"RESPUESTA_{name}")
