"""Every route against every scope: a route that is missing here fails, too."""

import itertools

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from service.access.needs import PUBLIC, check_declared, needs, needs_of
from service.access.scopes import SCOPES
from service.app import ROUTES
from tests.service.access.keyed import PATHS, client_with, kind, made
from tests.service.conftest import connect

ANY = {"certify", "jobs", "read"}
NEEDED = {
    "GET /certificates": ANY,
    "GET /certificates/{certificate_id}": ANY,
    "GET /certificates/{certificate_id}/votes": ANY,
    "GET /certificates/{certificate_id}/image": ANY,
    "GET /certificates/{certificate_id}/picture": ANY,
    "POST /verify": ANY,
    "GET /providers": ANY,
    "GET /denoisers": ANY,
    "POST /certify": {"certify"},
    "POST /predict": {"certify"},
    "GET /runs": {"certify", "read"},
    "GET /runs/{run_id}": {"certify", "read"},
    "DELETE /runs/{run_id}": {"certify"},
    "POST /jobs": {"jobs"},
    "GET /jobs": {"jobs", "read"},
    "GET /jobs/compare": {"jobs", "read"},
    "GET /jobs/{job_id}": {"jobs", "read"},
    "DELETE /jobs/{job_id}": {"jobs"},
    "GET /jobs/{job_id}/pictures": {"jobs", "read"},
    "GET /jobs/{job_id}/pictures/{number}": {"jobs", "read"},
    "GET /jobs/{job_id}/events": {"jobs", "read"},
    "GET /jobs/{job_id}/results": {"jobs", "read"},
    "GET /jobs/{job_id}/report": {"jobs", "read"},
    "POST /jobs/{job_id}/pause": {"jobs"},
    "POST /jobs/{job_id}/resume": {"jobs"},
    "POST /jobs/{job_id}/cancel": {"jobs"},
    "POST /jobs/{job_id}/retry": {"jobs"},
    "POST /jobs/{job_id}/extend": {"jobs"},
    "POST /pictures": {"jobs"},
    "POST /estimate": {"jobs"},
    "GET /workers": {"jobs", "read"},
    "GET /metrics": {"read"},
    "GET /usage": {"certify", "jobs", "read"},
    "GET /apikeys": {"admin"},
    "POST /apikeys": {"admin"},
    "GET /apikeys/{key_id}": {"admin"},
    "PATCH /apikeys/{key_id}": {"admin"},
    "DELETE /apikeys/{key_id}": {"admin"},
    "POST /apikeys/{key_id}/rotate": {"admin"},
}
EVERYBODYS = {
    *("GET /", "GET /docs", "GET /docs/{asset}", "GET /keys", "GET /version"),
    *("GET /health/live", "GET /health/ready", "GET /problems", "GET /problems/{slug}"),
}


def routes():
    for module in ROUTES:
        for route in module.router.routes:
            (method,) = route.methods
            yield f"{method} {route.path}", route


def test_the_table_is_that_of_the_application():
    found = {name: set(needs_of(route).scopes) for name, route in routes()}
    assert found == {**NEEDED, **{name: set() for name in EVERYBODYS}}


def test_every_module_with_routes_is_in_the_application(app):
    """So that no route is served that the table does not know."""
    known = {name for name, _ in routes()}
    document = app.openapi()
    served = {
        f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found
    }
    assert served <= known
    assert known - served == {"GET /", "GET /docs", "GET /docs/{asset}"}


@pytest.mark.parametrize("said", [[], [PUBLIC, needs("jobs")], [needs("jobs"), needs("read")]])
def test_a_route_that_does_not_say_what_it_needs_is_refused(said):
    router = APIRouter()

    @router.get("/new", dependencies=said)
    async def new() -> None: ...

    with pytest.raises(TypeError, match="/new"):
        check_declared(router.routes)


async def test_the_application_does_not_start_with_such_a_route(make_app, monkeypatch):
    from service.routes import keys

    router = APIRouter()

    @router.get("/new")
    async def new() -> None: ...

    monkeypatch.setattr(keys, "router", router)
    with pytest.raises(TypeError, match="/new"):
        async with make_app():
            pass


def test_what_is_mounted_beside_the_routes_is_not_everybodys(app):
    direct = {route.path for route in app.routes if getattr(route, "path", None) is not None}
    assert direct == {"/openapi.json"}
    assert not any(isinstance(route, APIRoute) for route in app.routes)


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_route_with_a_key_of_one_scope(app, scope):
    async with client_with(app, scope) as client:
        for name, needed in NEEDED.items():
            method, _, path = name.partition(" ")
            answer = await client.request(method, path.format(**PATHS))
            refused = answer.status_code == 403 and kind(answer) == "missing-scope"
            assert refused == (scope != "admin" and scope not in needed), (name, answer.text)
            assert answer.status_code not in (401, 500), name


async def test_every_route_with_nothing_but_the_other_scopes(app):
    """None of them together is enough."""
    for size in (1, 2):
        for scopes in itertools.combinations(("certify", "jobs", "read"), size):
            async with client_with(app, *scopes) as client:
                for name, needed in NEEDED.items():
                    if {*scopes} & needed:
                        continue
                    method, _, path = name.partition(" ")
                    answer = await client.request(method, path.format(**PATHS))
                    assert (answer.status_code, kind(answer)) == (403, "missing-scope"), name


async def test_every_route_without_a_key(app):
    await made(app, "admin")
    async with connect(app) as client:
        for name in NEEDED:
            method, _, path = name.partition(" ")
            answer = await client.request(method, path.format(**PATHS))
            assert answer.status_code == 401, name
        for name in EVERYBODYS:
            method, _, path = name.partition(" ")
            answer = await client.request(method, path.format(**PATHS))
            assert answer.status_code in (200, 307), name


async def test_the_document_says_it(app):
    document = app.openapi()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needed = NEEDED.get(f"{method.upper()} {path}", set())
            assert operation["security"] == ([{"apiKey": []}] if needed else [])
            for scope in SCOPES:
                told = f"`{scope}`" in operation["description"]
                assert told == (scope in needed or bool(needed and scope == "admin")), path
            problems = operation["responses"].get("401", {}).get("content", {})
            assert bool(problems) == bool(needed)
            if needed:
                shown = operation["responses"]["403"]["content"]["application/problem+json"]
                assert {"missing-scope", "local-only", "foreign-request"} <= {*shown["examples"]}
                assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
