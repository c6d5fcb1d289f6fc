"""A stranger to the code, schemathesis, reads /openapi.json and tries whether the agent does what it says."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ogagent.model.job import State
from tests.http.whole_agent import HTTP, SECRET, whole_agent

ROOT = Path(__file__).parents[2]
# Not "negative_data_rejection" and "positive_data_acceptance": many bodies are not made from the schema.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)


async def test_the_agent_does_what_its_description_says(tmp_path: Path) -> None:
    async with whole_agent(HTTP) as agent:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run"),
            str(agent.client.make_url("/openapi.json")),
            *("--header", f"Authorization: {SECRET}", "--checks", CHECKS, "--max-examples", "50"),
            *("--seed", "1", "--no-color", "--suppress-health-check", "all"),
        ]
        hooks = {"SCHEMATHESIS_HOOKS": "tests.security.stranger", "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={**os.environ, **hooks},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        jobs = [await agent.ended(job.job_id) for job in agent.jobs.jobs()]
    assert process.returncode == 0, said.decode()
    assert [job.error for job in jobs if job.error is not None and job.error.number == 40] == []
    assert any(job.state is State.SUCCEEDED for job in jobs)
