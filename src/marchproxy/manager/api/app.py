"""The application: every router, how failures are told, and its OpenAPI document."""

from fastapi import FastAPI

from marchproxy.manager.api.kinds import KINDS
from marchproxy.manager.api.openapi import describe
from marchproxy.manager.api.problems import tell_problems
from marchproxy.manager.api.sections import section_router
from marchproxy.manager.api.shelves import Shelves
from marchproxy.manager.api.unknown import unknown_router
from marchproxy.manager.desk import Desk


def create_app(desk: Desk) -> FastAPI:
    """The API over this desk; the UI is put beside it by whoever serves both."""
    app = FastAPI(
        title="MarchProxy",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.desk = desk
    app.state.shelves = Shelves()
    for kind in KINDS:
        app.include_router(section_router(kind))
    app.include_router(unknown_router)
    tell_problems(app)
    describe(app)
    return app
