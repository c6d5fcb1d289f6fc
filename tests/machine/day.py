"""A day of an installed PC, as its agent tells ogCore: somebody logs in and out, and the PC is switched off."""

from __future__ import annotations

from typing import Final

from simulator.ogcore.clients import Client, ClientState
from tests.machine.models import PASSWORD, USER
from tests.machine.vm import PC, Stopped

DAY: Final = [ClientState.LINUX, ClientState.LINUX_SESSION, ClientState.LINUX, ClientState.OFF]


async def day_of(pc: PC, client: Client) -> list[str]:
    """The states that ogCore has shown, to the end of the day; or as far as it came, and why it came no further."""
    states: list[str] = []
    try:
        await _live(pc, client, states)
    except Stopped as why:
        states.append(str(why))
    return states


async def _live(pc: PC, client: Client, states: list[str]) -> None:
    states.append(await _shown(pc, client, ClientState.LINUX, []))
    await pc.says("login: ")
    pc.types(f"{USER}\n")
    await pc.says("Password: ")
    pc.types(f"{PASSWORD}\n")
    states.append(await _shown(pc, client, ClientState.LINUX_SESSION, [(True, USER)]))
    await pc.says(f"{USER}@")
    pc.types("exit\n")
    states.append(await _shown(pc, client, ClientState.LINUX, [(True, USER), (False, USER)]))
    await pc.monitor.press_power_button()
    await pc.until(lambda: client.agent is None, "its agent's goodbye")  # ogCore keeps one that is merely silent
    states.append(client.state)
    await pc.switches_off()


async def _shown(pc: PC, client: Client, state: ClientState, people: list[tuple[bool, str]]) -> ClientState:
    """Waits until ogCore has been told of these logins (True) and logouts, and shows that state."""
    await pc.until(lambda: client.state is state and list(client.people) == people, f"the state {state} at ogCore")
    return state
