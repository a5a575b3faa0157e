"""One frame by its own address; the viewer of assets/viewer-*.js opens over the page."""

import dash
from dash import ClientsideFunction, Input, Output, dcc, html

PATH = "/image/<device>/<taken_at>"
NAME = "Image"


class ids:
    KEY = "image-key"
    OPENED = "image-opened"


def layout(device: str = "", taken_at: str = "", **_) -> html.Div:
    """The frame's name; a script does the rest."""
    key = {"device": device, "taken_at": taken_at}
    return html.Div(
        [dcc.Store(id=ids.KEY, data=key), dcc.Store(id=ids.OPENED), html.H1("Picture", className="only-read")]
    )


def register(app: dash.Dash) -> None:
    app.clientside_callback(
        ClientsideFunction("viewer", "open_link"), Output(ids.OPENED, "data"), Input(ids.KEY, "data")
    )
