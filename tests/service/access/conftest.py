"""A server of a test's own, that may be tormented."""

from tests.service.test_store_away import its_app, server  # noqa: F401  fixtures
