"""`gatewright chat`: a conversation in the terminal."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, ModelName, choose_model, open_gateway
from gatewright.cli.output import complain, console, on_terminal, printable

if TYPE_CHECKING:
    from gatewright.gateway import GenerateResponse, LiteLLMGateway

__all__ = ["Conversation", "chat", "summary_of"]

HELP = """/model NAME  ask another model; /model alone says which is asked and which there are
/clear       forget what was said
/exit        leave, as Ctrl-D does; Ctrl-C stops an answer"""


@reported
def chat(
    model: ModelName = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="How the model is to behave.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", min=0, help="How freely it writes.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="The most of one answer.")] = None,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Chat with a model: answers come as they are written, and each question knows what was said before.

    Ctrl-C stops an answer, Ctrl-D leaves; /clear, /model NAME, /exit and /help are commands.

    Example:

        gatewright chat -m local/smollm2-135m
    """
    given = {"temperature": temperature, "max_tokens": max_tokens}
    params = {name: value for name, value in given.items() if value is not None}
    with open_gateway(config) as gateway:
        conversation = Conversation(gateway, choose_model(gateway, model), system, params)
        console(stderr=True).print(f"[dim]{conversation.model} — /help for help, Ctrl-D to leave[/]")
        conversation.run()


class Conversation:
    """What was said, and with whom."""

    def __init__(self, gateway: LiteLLMGateway, model: str, system: str | None, params: dict[str, Any]) -> None:
        self.model = model
        self._gateway = gateway
        self._params = params
        self._start: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        self.messages = list(self._start)

    def run(self) -> None:
        """Answer line by line until the input ends or `/exit`."""
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # which gives `input` its editing keys
        while (line := _ask()) is not None:
            if line.startswith("/"):
                if not self._command(line):
                    return
            elif line:
                self._answer(line)

    def _command(self, line: str) -> bool:
        """Do what a line that begins with `/` says; False ends the conversation."""
        name, _, rest = line[1:].partition(" ")
        if name in ("exit", "quit"):
            return False
        if name == "clear":
            self.messages = list(self._start)
            _note("what was said is forgotten")
        elif name == "model":
            self._switch(rest.strip())
        else:
            _note(HELP if name == "help" else f"there is no /{name}\n{HELP}")
        return True

    def _switch(self, model: str) -> None:
        if model:
            self.model = model
            _note(f"asking {model} from now on")
            return
        others = ", ".join(self._gateway.models()) or "those of every provider, as provider/model"
        _note(f"asking {self.model}; there are: {others}")

    def _answer(self, line: str) -> None:
        from gatewright.errors import GatewayError

        self.messages.append({"role": "user", "content": line})
        try:
            said = self._stream()
        except GatewayError as error:
            _end_line()
            complain("error", str(error))
            said = ""
        if said:
            self.messages.append({"role": "assistant", "content": said})
        else:
            self.messages.pop()  # a question without an answer would stand beside the next one

    def _stream(self) -> str:
        """Write the answer as it comes, and give it; Ctrl-C ends it there."""
        with self._gateway.generate_stream(model=self.model, messages=self.messages, **self._params) as stream:
            try:
                for text in stream:
                    sys.stdout.write(printable(text))
                    sys.stdout.flush()
            except KeyboardInterrupt:
                stream.close()
                _end_line()
                _note("stopped")
                return stream.text
            _end_line()
            if stream.response is not None and on_terminal():
                _note(summary_of(stream.response))
            return stream.text


def summary_of(response: GenerateResponse) -> str:
    """Say in one line which model answered, with how many tokens, for how much and how fast."""
    usage = response.usage
    parts = [
        f"{response.provider}/{response.model}",
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens",
        f"${response.cost_usd:.6f}" if response.cost_usd is not None else "",
        f"{response.latency_ms / 1000:.1f} s",
        f"{response.attempts} attempts" if response.attempts > 1 else "",
    ]
    return " · ".join(part for part in parts if part)


def _ask() -> str | None:
    """Read a line; None at the end of the input. Ctrl-C gives up the line."""
    colour = on_terminal() and not os.environ.get("NO_COLOR")
    # The marks tell readline which characters take no place.
    prompt = "\001\033[1;36m\002you>\001\033[0m\002 " if colour else "you> "
    while True:
        try:
            return input(prompt if sys.stdin.isatty() else "").strip()
        except EOFError:
            if sys.stdin.isatty():
                _end_line()
            return None
        except KeyboardInterrupt:
            _end_line()


def _end_line() -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()


def _note(text: str) -> None:
    from rich.text import Text

    sys.stdout.flush()
    console(stderr=True).print(Text(text, style="dim"))
