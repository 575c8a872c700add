"""Emulators: servers that speak the providers' own wire protocols and answer from a real model."""
