"""`gatewright generate`: a prompt in, text out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, ModelName, choose_model, open_gateway
from gatewright.cli.output import on_terminal, print_json, printable

if TYPE_CHECKING:
    from gatewright.gateway import GenerateResponse, LiteLLMGateway

__all__ = ["answer_json", "generate", "prompt_of"]


@reported
def generate(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="The prompt; `-` stands for stdin, which is read where there is none.")
    ] = None,
    model: ModelName = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="How the model is to behave.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", min=0, help="How freely it writes.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="The most that it may write.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds for the whole call.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer with usage and cost as one JSON.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Write the model's answer to stdout, as it comes where that is a terminal.

    Examples:

        gatewright generate -m openai/gpt-4o-mini "Why is the sky blue?"

        git diff | gatewright generate -s "Write a commit message." -m groq/llama-3.3-70b-versatile -
    """
    text = prompt_of(prompt or [])
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    given = {"temperature": temperature, "max_tokens": max_tokens, "timeout": timeout}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with open_gateway(config) as gateway:
        model = choose_model(gateway, model)
        if on_terminal() and not as_json:
            _stream(gateway, model, messages, params)
            return
        response = gateway.generate(model=model, messages=messages, **params)
    if as_json:
        print_json(answer_json(response))
    else:
        sys.stdout.write(response.text.rstrip("\n") + "\n")


def _stream(gateway: LiteLLMGateway, model: str, messages: list[dict[str, Any]], params: dict[str, Any]) -> None:
    with gateway.generate_stream(model=model, messages=messages, **params) as stream:
        try:
            for text in stream:
                sys.stdout.write(printable(text))
                sys.stdout.flush()
        finally:
            if not stream.text.endswith("\n"):
                sys.stdout.write("\n")


def prompt_of(words: list[str]) -> str:
    """Give the prompt that the arguments make; `BadRequest` where there is none."""
    from gatewright.errors import BadRequest

    if not words and sys.stdin.isatty():
        raise BadRequest("give a prompt, or pipe one in", param="prompt")
    text = " ".join(_stdin() if word == "-" else word for word in words or ["-"])
    if not text.strip():
        raise BadRequest("the prompt is empty", param="prompt")
    return text


def _stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def answer_json(response: GenerateResponse) -> dict[str, Any]:
    """Give an answer as a script wants it."""
    return {
        "text": response.text,
        "model": response.model,
        "provider": response.provider,
        "finish_reason": response.finish_reason,
        "tool_calls": response.tool_calls,
        "usage": response.usage,
        "cost_usd": response.cost_usd,
        "latency_ms": round(response.latency_ms, 3),
        "attempts": response.attempts,
        "request_id": response.request_id,
    }
