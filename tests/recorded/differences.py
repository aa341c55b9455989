"""Where a lane's answer is known to differ from what was recorded, and why: each is asserted to differ still."""

from __future__ import annotations

LITELLM: dict[str, str] = {}
DIRECT: dict[str, str] = {}


def _known(table: dict[str, str], reason: str, provider: str, *places: int) -> None:
    table.update({f"{provider}-{place}": reason for place in places})


# --- litellm knows more than the wire says ---

_BY_TEXT = "litellm finds the context window in the message's text; the body has no code for it"
_known(LITELLM, _BY_TEXT, "anthropic", 96)
_known(LITELLM, _BY_TEXT, "vertex", 41)

# --- litellm changes the answer ---

_THINKING = "litellm takes what stands in <think> or <thinking> tags out of the text of whole answers, as reasoning"
_known(LITELLM, _THINKING, "bedrock", 6, 44, 45, 78)
_known(LITELLM, _THINKING, "huggingface", 1)
_known(LITELLM, "litellm adds the usage of Anthropic's advisor, another model, to the answer's own", "anthropic", 47)
_known(LITELLM, "litellm counts the prompt itself where Ollama, its prompt cached, says nothing", "ollama", 6)
_known(LITELLM, "of a stream with n = 2 litellm gives the finish reason of the first choice only", "openai", 129, 131)
_known(LITELLM, 'litellm says "stop" where the stream had no finish reason', "openai", 166)
_known(LITELLM, "litellm does not read the usage in Groq's `x_groq`", "groq", 0, 6)
_TITAN = "litellm reads neither finish reason nor usage of Titan's streams (`completionReason`, invocation metrics)"
_known(LITELLM, _TITAN, "bedrock", 33, 54, 56, 57)
_HEADER = "litellm counts the tokens itself: Bedrock gives the count of Cohere's embeddings in a header only"
_known(LITELLM, _HEADER, "bedrock", 65, 66, 67, 129, 131)
_known(LITELLM, "litellm does not know enumerations as numbers, which no lane asks for", "vertex", 10)

# --- litellm cannot read the answer ---

_SERVICE_TIER = "litellm's Groq reader fails (AttributeError) on answers without `service_tier`, which Groq sends today"
_known(LITELLM, _SERVICE_TIER, "groq", 1, 2, 3, 4, 5, 8, 9, 11)
_COHERE = "litellm's reader of Cohere's second interface parses the `event:` lines of its streams as JSON, and fails"
_known(LITELLM, _COHERE, "cohere", 4, 5, 6, 7, 8, 13, 20, 21, 22, 62, 63, 65, 66, 67, 68)
_known(LITELLM, "litellm fails on a choice without a message, as Azure filtered it", "azure_openai", 1)

# --- litellm does not send the request ---

_known(LITELLM, "litellm refuses a `tool_choice` without `type`, as it was sent to Hugging Face", "huggingface", 4, 5)
_known(LITELLM, "litellm refuses Perplexity's own content part `file_url`", "perplexity", 0)
