"""Batch jobs: many pictures certified under one budget."""
