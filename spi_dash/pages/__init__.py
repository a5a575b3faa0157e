"""The pages."""

import dash
from dash import html


def register_pages(app: dash.Dash) -> None:
    app.layout = html.Div(dash.page_container)
