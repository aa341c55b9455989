"""Who answers: litellm, the OpenAI wire, the simulator, local models."""
