"""The direct lane: the OpenAI wire format over one pooled client."""
