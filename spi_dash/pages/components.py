"""Pieces that several pages use."""

from typing import Any

from dash import html

from ..services.scope import moment

THIN = "\u202f"  # between thousands; lines do not break there


def number(value: int) -> str:
    """1 300 000, with thin spaces."""
    return f"{value:,}".replace(",", THIN)


def plural(count: int, noun: str) -> str:
    """`1 picture`, `2 431 pictures`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def day_in_zone(at_s: int) -> html.B:
    """A day, which a script writes in the zone of the page; until then, and to programs, it is UTC's."""
    return html.B(f"{moment(at_s):%-d %b %Y} (UTC)", **{"data-day": str(at_s)})


def icon(name: str, label: str = "") -> html.Span:
    """An icon of assets/icons as a mask, in the colour of the text; with a label, it is read out."""
    told: dict[str, Any] = {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
    return html.Span(className=f"icon icon-{name}", **told)


def short_version(version: str) -> str:
    """What people tell versions apart by: of `<time>-<checksum>` the time."""
    return version if len(version) <= 12 else version.partition("-")[0]


def empty_card(title: str, text: str | list, *actions: Any) -> html.Div:
    """What a page says where it has nothing to show, and the next step."""
    tools = [html.Div(actions, className="empty-tools")] if actions else []
    return html.Div([html.Div(className="empty-card"), html.H2(title), html.P(text), *tools], className="empty")
