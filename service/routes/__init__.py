"""Thin routes: they read a request, call `service.core` and shape the answer."""
