"""The pages, in menu order. A page is a module with PATH, NAME, `ids`, layout() and register(app)."""

from types import ModuleType

import dash
from dash import ClientsideFunction, Input

from . import data, explore, frames, image, project, projects, session, settings, shell, tuboids
from .tables import PagesDash

PAGES = (explore, data, tuboids, image, projects, project, settings)
WITH_TABLES = (data, project)
TITLE = "Spi Dash"


def register_pages(app: PagesDash) -> None:
    """Put the shell and the pages on the app, and the routes that their scripts fetch from."""
    for order, page in enumerate(PAGES):
        dash.register_page(
            page.__name__, path_template=page.PATH, name=page.NAME, title=title_of(page), order=order,
            layout=page.layout,
        )  # fmt: skip
        page.register(app)
    shell.register(app)
    app.clientside_callback(ClientsideFunction("links", "title"), Input(project.ids.HEAD, "children"))
    frames.add_routes(app.server)
    app.server.before_request(session.refuse_unknown_pages(page.PATH for page in PAGES))
    app.index_string = shell.INDEX
    app.set_table_pages(page.PATH for page in WITH_TABLES)
    app.layout = shell.layout


def title_of(page: ModuleType) -> str:
    """What windows and bookmarks call a page; assets/21-links.js says the name of a project."""
    return f"{page.NAME} - {TITLE}"
