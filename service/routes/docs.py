"""GET /docs: Swagger UI, from files that are installed with the service; it loads nothing else."""

import base64
import hashlib
from importlib.resources import files
from typing import Literal

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse

from service.access.needs import PUBLIC

# The package is there for its files alone.
ASSETS = files("fastapi_offline").joinpath("static")
Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]

# `withCredentials` stays off and nothing is stored: a key is gone with the page.
_START = """
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Surety - Swagger UI</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>{_START}</script>
</body>
</html>
"""
_HASH = base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_HASH}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/", dependencies=[PUBLIC])
async def root() -> RedirectResponse:
    """Lead people who open the address in a browser to the documentation."""
    return RedirectResponse("/docs")


@router.get("/docs", dependencies=[PUBLIC])
async def docs() -> HTMLResponse:
    """Return the page; its buttons call this API."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/{asset}", dependencies=[PUBLIC])
async def asset(asset: Asset) -> FileResponse:
    """Return one of the files that the page consists of."""
    headers = {"Cache-Control": "public, max-age=3600"}
    return FileResponse(str(ASSETS.joinpath(asset)), headers=headers)
