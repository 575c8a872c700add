"""What tests of usage need of other folders."""

from tests.service.store.conftest import place  # noqa: F401  a fixture
