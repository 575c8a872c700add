"""Batch jobs: whole data sets, on any number of machines, within a rate and a budget."""
