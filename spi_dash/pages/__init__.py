"""The pages, in menu order. A page is a module with PATH, NAME, `ids`, layout() and register(app)."""

import dash

from . import data, explore, frames, image, project, projects, settings, shell, tuboids

PAGES = (explore, data, tuboids, image, projects, project, settings)


def register_pages(app: dash.Dash) -> None:
    """Put the shell and the pages on the app, and the routes that their scripts fetch from."""
    for order, page in enumerate(PAGES):
        dash.register_page(page.__name__, path_template=page.PATH, name=page.NAME, order=order, layout=page.layout)
        page.register(app)
    shell.register(app)
    frames.add_routes(app.server)
    app.index_string = shell.INDEX
    app.layout = shell.layout
