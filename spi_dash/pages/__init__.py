"""The pages, in menu order. A page is a module with PATH, NAME, `ids`, layout() and register(app)."""

import dash

from . import data, explore, frames, image, project, projects, session, settings, shell, tuboids
from .tables import PagesDash

PAGES = (explore, data, tuboids, image, projects, project, settings)
WITH_TABLES = (data, project)


def register_pages(app: PagesDash) -> None:
    """Put the shell and the pages on the app, and the routes that their scripts fetch from."""
    for order, page in enumerate(PAGES):
        dash.register_page(page.__name__, path_template=page.PATH, name=page.NAME, order=order, layout=page.layout)
        page.register(app)
    shell.register(app)
    frames.add_routes(app.server)
    app.server.before_request(session.refuse_unknown_pages(page.PATH for page in PAGES))
    app.index_string = shell.INDEX
    app.set_table_pages(page.PATH for page in WITH_TABLES)
    app.layout = shell.layout
