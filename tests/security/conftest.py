"""The application of tests/service."""

from tests.service.conftest import (  # noqa: F401  fixtures
    _no_environment,
    _own_log,
    make_app,
    small_providers,
)
