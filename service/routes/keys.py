"""GET /keys: the public keys that certificates of this deployment are signed with."""

from typing import Any

from fastapi import APIRouter

from service import lasting
from service.access.needs import PUBLIC
from service.deps import SuretyDep
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import LEDGER_DAMAGED, STORE_AWAY

router = APIRouter(tags=["certificates"])


@router.get(
    "/keys",
    dependencies=[PUBLIC],
    summary="List the public keys",
    responses=json_response("Public keys.", "Keys") | problem_responses(STORE_AWAY, LEDGER_DAMAGED),
)
async def keys(surety: SuretyDep) -> dict[str, Any]:
    """Return every public key; old ones stay, since their certificates do."""
    found = await lasting.public_keys(surety.state)
    return {"keys": [key.describe() for key in found]}
