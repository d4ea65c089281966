"""The pages, each a module with `build`; lists of a section have `build_one` for one of its items."""

from fastapi import FastAPI

from marchproxy.manager.desk import Desk
from marchproxy.manager.ui.application import Page, install_pages
from marchproxy.manager.ui.pages import (
    activity,
    document,
    keys,
    limits,
    listeners,
    module,
    modules,
    overview,
    pools,
    revision,
    revisions,
    rollout,
    rollouts,
    routes,
    scaling,
    search,
    settings,
    users,
)

PAGES = (
    Page("/", "Overview", "/", overview.build),
    Page("/listeners", "Listeners", "/listeners", listeners.build),
    Page("/listeners/{key:path}", "Listener", "/listeners", listeners.build_one),
    Page("/routes", "Routes", "/routes", routes.build),
    Page("/routes/{key:path}", "Route", "/routes", routes.build_one),
    Page("/pools", "Pools", "/pools", pools.build),
    Page("/pools/{key:path}", "Pool", "/pools", pools.build_one),
    Page("/rollouts", "Rollouts", "/rollouts", rollouts.build),
    Page("/rollouts/{on}/{name:path}", "Rollout", "/rollouts", rollout.build),
    Page("/limits", "Rate limits", "/limits", limits.build),
    Page("/limits/{key:path}", "Rate limit", "/limits", limits.build_one),
    Page("/modules", "Modules", "/modules", modules.build),
    Page("/modules/{id:path}", "Instance", "/modules", module.build),
    Page("/scaling", "Scaling", "/scaling", scaling.build),
    Page("/scaling/{key:path}", "Rule", "/scaling", scaling.build_one),
    Page("/revisions", "Revisions", "/revisions", revisions.build),
    Page("/revisions/document", "Whole document", "/revisions", document.build),
    Page("/revisions/{number}", "Revision", "/revisions", revision.build),
    Page("/activity", "Activity", "/activity", activity.build),
    Page("/users", "Users", "/users", users.build),
    Page("/keys", "API keys", "/keys", keys.build),
    Page("/settings", "Settings", "/settings", settings.build),
    Page("/search", "Search", "", search.build),
)


def install(app: FastAPI, desk: Desk) -> None:
    """Serve the UI beside what the application has. Once in a process: NiceGUI has one application of its own."""
    install_pages(app, desk, PAGES)
