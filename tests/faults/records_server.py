"""Serves a gateway, again and again: whatever kills the process that serves, the next one is forked at once.

Its arguments are a port and a data directory. It prints the number of each serving process once that serves.
"""

import asyncio
import os
import sys
from pathlib import Path

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running

PORT, DATA = int(sys.argv[1]), Path(sys.argv[2])


async def serve():
    gateway = LiteLLMGateway(
        GatewayConfig(
            model_list=[{"model_name": "m", "litellm_params": {"model": "simulator/m"}}],
            default_model="m",
            default_embedding_model="m",
            data_dir=DATA,
            # Small files and a short interval: being killed while one is made, drained or removed is what this is for.
            records={"interval": 0.02, "journal_segment_bytes": 4096},
        )
    )
    async with running(gateway, "127.0.0.1", PORT):
        os.write(1, b"%d\n" % os.getpid())
        await asyncio.Event().wait()


while os.getppid() != 1:
    child = os.fork()
    if child == 0:
        asyncio.run(serve())
        os._exit(0)
    os.waitpid(child, 0)
