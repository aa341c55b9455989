"""The litellm lane: every provider that litellm reaches."""
