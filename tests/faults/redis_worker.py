"""One process of several that share a limit: asks at a steady rate, and writes down what came of each call.

Its argument and its output are JSON; times are the machine's monotonic clock, the same in all processes.
"""

import asyncio
import json
import sys
import time

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limiter import RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.layers.rate_limiter.shared import SharedLedger
from gatewright.storage.redis import RedisStore


async def main(task):
    store = RedisStore(task["url"], namespace=task["namespace"])
    limiter = RateLimiter(shared=SharedLedger(store))
    limiter.configure("global", "", RateLimitConfig(**task["limit"]))
    done = {"admitted": [], "refused": 0, "errors": [], "longest": 0.0, "outages": 0, "at_once": 0}
    busy = 0

    async def call(number):
        nonlocal busy
        began = time.monotonic()
        try:
            permit = await limiter.admit(Claim(call_id=str(number), tokens=task["reserved"], tenant=f"t{number % 3}"))
        except RateLimited:
            done["refused"] += 1
        except Exception as error:
            done["errors"].append(repr(error))
        else:
            done["admitted"].append(time.monotonic())
            busy += 1
            done["at_once"] = max(done["at_once"], busy)
            await asyncio.sleep(task["lasts"])
            busy -= 1
            permit.settle(task["used"])
        done["longest"] = max(done["longest"], time.monotonic() - began)

    calls = []
    await store.open()
    print("ready", flush=True)
    task["start"] = float(await asyncio.to_thread(sys.stdin.readline))
    await asyncio.sleep(max(0.0, task["start"] - time.monotonic()))
    for number in range(int(task["seconds"] * task["per_second"])):
        due = task["start"] + number / task["per_second"]
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        calls.append(asyncio.create_task(call(number)))
    await asyncio.gather(*calls)
    done["outages"] = store.status().outages
    done["state"] = store.status().state
    await limiter.aclose()
    await store.aclose()
    print(json.dumps(done))


asyncio.run(main(json.loads(sys.argv[1])))
