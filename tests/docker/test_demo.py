"""demo.env points the adapters where the emulators listen, with what they accept."""

import pytest

from adapters.emulators.registry import brain, emulator_class
from tests.docker.files import FOLDER, SERVICES, variables

PORT = "8080"


@pytest.fixture(scope="module")
def answers():
    return brain()


@pytest.mark.parametrize("provider", ["aws", "azure", "google", "clarifai"])
def test_variables(answers, provider):
    name = f"emulate-{provider}"
    emulator = emulator_class(provider)(answers)
    # Clarifai's puts http:// before it; Google's is told by it that there is no TLS.
    scheme = "" if provider == "clarifai" else "http://"
    emulator.addresses = dict.fromkeys(("rest", "grpc"), f"{scheme}{name}:{PORT}")
    assert variables(FOLDER / "demo.env").items() >= emulator.environment().items()
    command = SERVICES[name]["command"]
    assert command[:2] == ["emulate", provider]
    assert command[command.index("--port") + 1] == PORT
    assert command[command.index("--host") + 1] == "0.0.0.0"  # noqa: S104  in a container
    control = command[command.index("--control-port") + 1]
    assert SERVICES[name]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{control}/health"
    assert SERVICES[name]["networks"] == ["emulated"]
    assert "emulated" in SERVICES["api"]["networks"]
