"""The calls of ogAgent that send the machine down: by their paths alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.system.metrics import Metrics
from tests.functions.running import running
from tests.jobs.two_disks import until
from tests.power_twin import StillPower

SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null", b'{"nfn": "RestaurarImagen"}'])
@pytest.mark.parametrize(
    ("path", "function", "done"), [("reboot", "Reiniciar", "restart"), ("poweroff", "Apagar", "switch off")]
)
async def test_it_is_launched(tmp_path: Path, path: str, function: str, done: str, body: bytes | None) -> None:
    power = StillPower()
    async with running(tmp_path, equip=lambda each: replace(each, power=power)) as agent:
        app = make_app(agent.jobs, agent.functions, SecretAccess(SECRET), Metrics())
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            url, headers = f"/opengnsys/{path}", {"Authorization": SECRET}
            assert await said(client, url, {}, body) == (401, "credential-missing")
            assert await said(client, url, headers, body) == (200, {"op": "launched"})
            await until(lambda: power.done == [done])
            assert await said(client, url, headers, body) == (409, "machine-busy")
        assert [job.function for job in agent.jobs.jobs()] == [function]
        ((report,),) = agent.told.finals.values()
        assert (report["nfn"], report["res"], report["ids"]) == (f"RESPUESTA_{function}", "1", "")


async def said(client: TestClient[Any, Any], url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, Any]:
    async with client.post(url, headers=headers, data=body) as answer:
        members = await answer.json(content_type=None)
        return answer.status, members.get("code", members)
