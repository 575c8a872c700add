"""What Kubernetes puts into the environment of pods for each of its Services.

One that is called surety brings SURETY_PORT=tcp://10.0.0.1:8000, which is no port to listen on, and
names that are no settings: SURETY_SERVICE_HOST, SURETY_PORT_8000_TCP and others. So does one that
is called surety-redis.
"""

import re

_NAME = re.compile(
    r"SURETY_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_PORT = re.compile(r"SURETY_(\w+_)?PORT")
_VALUE = re.compile(r"(tcp|udp|sctp)://.*")


def is_link(name: str, value: str | None) -> bool:
    """Tell whether a variable of the environment is one of these, and none of ours."""
    upper = name.upper()
    address = _VALUE.fullmatch(value or "") is not None
    return _NAME.fullmatch(upper) is not None or (address and _PORT.fullmatch(upper) is not None)
