"""A process that records feedback and says which ids it was given, until it is killed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gatewright.feedback import CallbackConfig, Feedback, FeedbackConfig, FeedbackLoop


def main(directory: Path, database_url: str | None) -> None:
    config = FeedbackConfig(callbacks=CallbackConfig(first_wait=0.02, lease=0.5, poll_interval=0.1), store_timeout=2.0)
    loop = FeedbackLoop(config, data_dir=directory, database_url=database_url)
    out = sys.stdout.fileno()
    told = threading.Lock()

    def say(line: str) -> None:
        with told:
            import os

            os.write(out, f"{line}\n".encode())

    def heard(feedback: Feedback) -> None:
        say(f"heard {feedback.id}")

    loop.register_callback("correction", heard, name="heard")

    def record() -> None:
        while True:
            say(f"kept {loop.record_feedback('q', 'r', 'correction', 'c', 'acme')}")

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
