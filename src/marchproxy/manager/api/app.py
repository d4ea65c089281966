"""The application: every router, how failures are told, and its OpenAPI document."""

from fastapi import FastAPI

from marchproxy.manager.desk import Desk


def create_app(desk: Desk) -> FastAPI:
    """The API over this desk; the UI is put beside it by whoever serves both."""
    app = FastAPI(title="MarchProxy", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    app.state.desk = desk
    return app
