"""The HTTP server: the gateway, as OpenAI's clients know how to ask it."""
