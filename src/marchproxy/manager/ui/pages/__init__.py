"""The pages, each a module with `build`."""

from fastapi import FastAPI

from marchproxy.manager.desk import Desk
from marchproxy.manager.ui.application import Page, install_pages
from marchproxy.manager.ui.pages import modules, overview

PAGES = (
    Page("/", "Overview", "/", overview.build),
    Page("/modules", "Modules", "/modules", modules.build),
)


def install(app: FastAPI, desk: Desk) -> None:
    """Serve the UI beside what the application has. Once in a process: NiceGUI has one application of its own."""
    install_pages(app, desk, PAGES)
