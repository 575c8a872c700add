"""Batch jobs: whole datasets, several machines, a rate limit and a budget."""
