"""Readers of the recorded bodies, written from the providers' formats and using nothing of the gateway's."""

from __future__ import annotations

from recorded.exchanges import Exchange
from recorded.formats import anthropic, bedrock, cohere, gemini, ollama, openai
from recorded.normal import Normal

READERS = {
    "openai_chat": openai.chat,
    "openai_text": openai.text,
    "openai_embeddings": openai.embeddings,
    "anthropic": anthropic.messages,
    "gemini": gemini.contents,
    "gemini_embeddings": gemini.embeddings,
    "cohere": cohere.chat,
    "cohere_embeddings": cohere.embeddings,
    "converse": bedrock.converse,
    "invoke": bedrock.invoke,
    "invoke_embeddings": bedrock.embeddings,
    "ollama": ollama.chat,
}


def expected(exchange: Exchange) -> Normal:
    """Give what any lane must make of an exchange."""
    return READERS[exchange.format](exchange)
