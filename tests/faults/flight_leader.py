"""A process that leads a flight whose answer takes longer than it lives. Its argument is the URL of Redis."""

import asyncio
import sys

from gatewright import create_gateway


async def main(redis_url):
    simulator = {"latency": 0 if "stream" in sys.argv else 60, "tokens_per_second": 5, "text": "one two three four"}
    async with create_gateway(
        providers=["simulator"],
        default_model="simulator/m",
        redis_url=redis_url,
        deduplication={"shared": True},
        simulator=simulator,
    ) as gateway:
        if "stream" in sys.argv:
            async for _ in gateway.generate_stream("same"):
                print("leads", flush=True)
        else:
            task = asyncio.create_task(gateway.generate_async("same"))
            await asyncio.sleep(0.5)
            print("leads", flush=True)
            await task


asyncio.run(main(sys.argv[1]))
