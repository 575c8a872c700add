"""GET /certificates/{id}: a certificate that was issued."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.deps import CertificatesDep
from service.openapi_answers import json_response, problem_responses
from service.openapi_examples import CERTIFICATE
from service.problem_kinds import NOT_FOUND

router = APIRouter(tags=["certification"])


@router.get(
    "/certificates/{certificate_id}",
    summary="Fetch a certificate",
    responses=json_response("The certificate.", "Certificate") | problem_responses(NOT_FOUND),
)
async def certificate(
    certificate_id: Annotated[str, Path(description="Its `id`.", examples=[CERTIFICATE["id"]])],
    certificates: CertificatesDep,
) -> dict[str, Any]:
    """Return a certificate by its id, the first 32 digits of the SHA-256 of what it says."""
    return await certificates.get(certificate_id)
