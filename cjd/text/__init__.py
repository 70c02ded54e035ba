"""Prompts become token ids and embeddings, with the conventions of diffusers' pipelines."""
