"""The well-known providers that speak the OpenAI format: where they are, and what they do otherwise."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "KEY_VARIABLES",
    "USUAL_EMBEDDINGS",
    "USUAL_MODELS",
    "WIRE_PROVIDERS",
    "WireSpec",
    "key_variables",
    "provider_name",
    "wire_spec",
]


class WireSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider speaks the OpenAI format.

    `unsupported` are OpenAI's parameters that it does not know, `renamed` those that it knows by another name.
    `embed_batch` is the most inputs that one embeddings request may have; `base64` says whether it can send
    vectors as base64, `vectors` what that is of (`f`: 32-bit floats, `b`: signed bytes), `stream_usage` whether it must
    be asked for the usage of a stream.
    """

    name: str
    base_url: str | None = None
    keys: tuple[str, ...] = ()
    base_url_variables: tuple[str, ...] = ()
    auth: Literal["bearer", "api-key"] = "bearer"
    key_needed: bool = True
    unsupported: frozenset[str] = frozenset()
    renamed: dict[str, str] = {}
    embed_batch: int = 512
    base64: bool = False
    vectors: Literal["f", "b"] = "f"
    stream_usage: bool = True


_NEWEST = ("prediction", "modalities", "audio", "store", "service_tier", "web_search_options", "verbosity")


def _without(*names: str) -> frozenset[str]:
    return frozenset(names)


WIRE_PROVIDERS: dict[str, WireSpec] = {
    spec.name: spec
    for spec in (
        WireSpec(
            name="openai",
            base_url="https://api.openai.com/v1",
            keys=("OPENAI_API_KEY",),
            base_url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
            embed_batch=2048,
            base64=True,
        ),
        WireSpec(
            name="azure",
            keys=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
            base_url_variables=("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"),
            auth="api-key",
            embed_batch=2048,
            base64=True,
        ),
        WireSpec(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            keys=("MISTRAL_API_KEY",),
            base_url_variables=("MISTRAL_API_BASE",),
            unsupported=_without(*_NEWEST, "logit_bias", "logprobs", "top_logprobs", "user", "stream_options"),
            renamed={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
            stream_usage=False,
        ),
        WireSpec(
            name="groq",
            base_url="https://api.groq.com/openai/v1",
            keys=("GROQ_API_KEY",),
            base_url_variables=("GROQ_API_BASE",),
            unsupported=_without("prediction", "modalities", "audio", "store", "web_search_options", "verbosity"),
        ),
        WireSpec(
            name="deepseek",
            base_url="https://api.deepseek.com",
            keys=("DEEPSEEK_API_KEY",),
            base_url_variables=("DEEPSEEK_API_BASE",),
            unsupported=_without(*_NEWEST, "n", "seed", "user", "logit_bias"),
            renamed={"max_completion_tokens": "max_tokens"},
        ),
        WireSpec(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            keys=("OPENROUTER_API_KEY",),
            base_url_variables=("OPENROUTER_API_BASE",),
        ),
        WireSpec(
            name="together_ai",
            base_url="https://api.together.xyz/v1",
            keys=("TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
            unsupported=_without(*_NEWEST, "user"),
            renamed={"max_completion_tokens": "max_tokens"},
        ),
        WireSpec(
            name="fireworks_ai",
            base_url="https://api.fireworks.ai/inference/v1",
            keys=("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
            unsupported=_without(*_NEWEST),
        ),
        WireSpec(
            name="perplexity",
            base_url="https://api.perplexity.ai",
            keys=("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
            unsupported=_without(
                "prediction", "modalities", "audio", "store", "service_tier", "verbosity", "tools", "tool_choice"
            )
            | _without("parallel_tool_calls", "n", "seed", "stop", "logit_bias", "logprobs", "top_logprobs", "user"),
            vectors="b",
            stream_usage=False,
        ),
        WireSpec(
            name="xai",
            base_url="https://api.x.ai/v1",
            keys=("XAI_API_KEY",),
            unsupported=_without(*_NEWEST) - {"web_search_options"},
        ),
        WireSpec(
            name="cerebras",
            base_url="https://api.cerebras.ai/v1",
            keys=("CEREBRAS_API_KEY",),
            unsupported=_without(*_NEWEST, "frequency_penalty", "presence_penalty", "logit_bias", "n"),
        ),
        WireSpec(name="nvidia_nim", base_url="https://integrate.api.nvidia.com/v1", keys=("NVIDIA_NIM_API_KEY",)),
        WireSpec(name="sambanova", base_url="https://api.sambanova.ai/v1", keys=("SAMBANOVA_API_KEY",)),
        WireSpec(name="deepinfra", base_url="https://api.deepinfra.com/v1/openai", keys=("DEEPINFRA_API_KEY",)),
        WireSpec(name="hyperbolic", base_url="https://api.hyperbolic.xyz/v1", keys=("HYPERBOLIC_API_KEY",)),
        WireSpec(name="novita", base_url="https://api.novita.ai/v3/openai", keys=("NOVITA_API_KEY",)),
        WireSpec(name="moonshot", base_url="https://api.moonshot.ai/v1", keys=("MOONSHOT_API_KEY",)),
        WireSpec(name="nebius", base_url="https://api.studio.nebius.ai/v1", keys=("NEBIUS_API_KEY",)),
        WireSpec(
            name="dashscope",
            base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
            keys=("DASHSCOPE_API_KEY",),
            embed_batch=10,
        ),
        WireSpec(
            name="github",
            base_url="https://models.inference.ai.azure.com",
            keys=("GITHUB_API_KEY", "GITHUB_TOKEN"),
        ),
        WireSpec(
            name="huggingface",
            base_url="https://router.huggingface.co/v1",
            keys=("HUGGINGFACE_API_KEY", "HF_TOKEN"),
        ),
        WireSpec(
            name="ollama",
            base_url="http://localhost:11434/v1",
            base_url_variables=("OLLAMA_API_BASE",),
            key_needed=False,
        ),
        WireSpec(
            name="lm_studio",
            base_url="http://localhost:1234/v1",
            keys=("LM_STUDIO_API_KEY",),
            base_url_variables=("LM_STUDIO_API_BASE",),
            key_needed=False,
        ),
        WireSpec(
            name="llamafile",
            base_url="http://127.0.0.1:8080/v1",
            base_url_variables=("LLAMAFILE_API_BASE",),
            key_needed=False,
        ),
        WireSpec(
            name="hosted_vllm",
            keys=("HOSTED_VLLM_API_KEY",),
            base_url_variables=("HOSTED_VLLM_API_BASE",),
            key_needed=False,
        ),
        # Cohere's own API goes by litellm, which cannot read its streams; this one is OpenAI's format by Cohere.
        *(
            WireSpec(
                name=name,
                base_url="https://api.cohere.ai/compatibility/v1",
                keys=("COHERE_API_KEY", "CO_API_KEY"),
                unsupported=_without(*_NEWEST, "logit_bias", "n", "parallel_tool_calls", "user", "top_logprobs"),
                renamed={"max_completion_tokens": "max_tokens"},
                stream_usage=False,
                embed_batch=96,
            )
            for name in ("cohere", "cohere_chat")
        ),
        # Any other server that speaks the format: `base_url` says where it is.
        WireSpec(
            name="openai_compatible",
            keys=("OPENAI_COMPATIBLE_API_KEY",),
            base_url_variables=("OPENAI_COMPATIBLE_BASE_URL",),
            key_needed=False,
        ),
    )
}

# The well-known variables of the providers that only the litellm lane reaches, for "no key" errors and `from_env`.
KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "replicate": ("REPLICATE_API_KEY",),
    "ai21": ("AI21_API_KEY",),
    "voyage": ("VOYAGE_API_KEY",),
    "jina_ai": ("JINA_AI_API_KEY",),
    "watsonx": ("WATSONX_APIKEY", "WATSONX_API_KEY"),
    "azure_ai": ("AZURE_AI_API_KEY",),
} | {spec.name: spec.keys for spec in WIRE_PROVIDERS.values() if spec.keys}


# What is asked for text where nobody said which model: each provider's small one of a name that lasts.
USUAL_MODELS: dict[str, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "mistral": "mistral-small-latest",
    "cohere": "command-a-03-2025",
    "deepseek": "deepseek-chat",
}

# What is asked for vectors where nobody said which model: the providers' own first choice in their documentation.
USUAL_EMBEDDINGS: dict[str, str] = {
    "openai": "text-embedding-3-small",
    "mistral": "mistral-embed",
    "cohere": "embed-v4.0",
    "cohere_chat": "embed-v4.0",
    "gemini": "gemini-embedding-001",
    "voyage": "voyage-3.5",
    "local": "minilm-l6-v2",
}


def provider_name(name: str) -> str:
    """Give the one name of a provider that has several."""
    return _ALIASES.get(name, name)


def wire_spec(provider: str) -> WireSpec | None:
    """Give how `provider` speaks the OpenAI format; None where it does not, as far as is known here."""
    return WIRE_PROVIDERS.get(provider_name(provider))


def key_variables(provider: str) -> tuple[str, ...]:
    """Give the environment variables in which `provider`'s key is usually found, the first preferred."""
    return KEY_VARIABLES.get(provider_name(provider), ())


_ALIASES = {
    "together": "together_ai",
    "fireworks": "fireworks_ai",
    "vllm": "hosted_vllm",
    "custom_openai": "openai_compatible",
    "ollama_chat": "ollama",
    "nvidia": "nvidia_nim",
    "google": "gemini",
}
