"""The SDK's documented import paths; plain re-exports of gatewright, nothing else."""
