"""A stranger to the code, schemathesis, reads /openapi.json and tries whether the agent does what it says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from ogagent.http.access import SecretAccess

SECRET = "0123456789abcdef" * 4
# Not "negative_data_rejection" and "positive_data_acceptance": a schema cannot say "printable".
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)


async def test_the_agent_does_what_its_description_says(open_face: Any, tmp_path: Path) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run"),
            *(f"https://{agent.address}:{agent.port}/openapi.json", "--tls-verify", "false"),
            *("--header", f"Authorization: {SECRET}", "--checks", CHECKS, "--max-examples", "25"),
            *("--seed", "1", "--no-color", "--suppress-health-check", "all"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()
