"""What an API key may be allowed to do."""

from typing import Literal, get_args

Scope = Literal["certify", "jobs", "read", "admin"]
"""certify: /certify and /predict. jobs: batch jobs. read: look at what others have. admin: all."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
