"""What the console needs beside ogCore when it stands in a lab: somebody who walks to a PC, and breaks things."""

from __future__ import annotations

from typing import Protocol


class Hands(Protocol):
    """All that is done raises LabError, for a person, when it cannot be done."""

    def clients(self) -> tuple[str, ...]: ...

    def has(self, client: str) -> bool:
        """Whether the client is in the lab; a real one is not."""

    def runs(self, client: str) -> bool: ...

    def reason(self, client: str) -> str:
        """What is to be learnt from this client's disks."""

    def target(self, client: str) -> tuple[int, int]:
        """The disk and the partition that an image is meant for."""

    def note(self, client: str) -> str:
        """Why the client is not there though it was switched on; empty when nothing is wrong."""

    async def switch_on(self, client: str) -> None: ...

    async def switch_off(self, client: str) -> None: ...

    async def boot_oglive(self, client: str) -> None: ...

    async def boot_disk(self, client: str) -> None: ...

    async def log_in(self, client: str) -> None: ...

    async def log_out(self, client: str) -> None: ...

    def faults(self) -> tuple[str, ...]:
        """Those that are there now, as ``WHERE:WHAT[@POINT][=VALUE]``."""

    async def inject(self, fault: str) -> None: ...

    async def heal(self, fault: str) -> None: ...
