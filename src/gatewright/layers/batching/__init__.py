"""Batching: concurrent embeddings of one tenant and model are one request."""
