"""AG Grid is a third of all scripts, and few pages have a table: only those load it at once.

assets/21-links.js loads it elsewhere when somebody is about to open such a page.
"""

import re
from collections.abc import Iterable
from html import escape
from typing import Any

import dash

from .session import current_path, path_pattern

SCRIPT = re.compile(r'<script src="([^"]*/dash_ag_grid/[^"]*)"></script>')


class PagesDash(dash.Dash):
    """Dash, with the script of the tables on the pages that have one."""

    table_pages = re.compile("")

    def set_table_pages(self, templates: Iterable[str]) -> None:
        """Say which pages have tables, by the templates of their paths."""
        self.table_pages = path_pattern(templates)

    def interpolate_index(self, **parts: Any) -> str:
        """The page's HTML; where there is no table, it names the script instead of loading it."""
        found = SCRIPT.search(parts["scripts"])
        if found is not None and not self.table_pages.fullmatch(current_path().rstrip("/")):
            pattern = escape(f"^(?:{self.table_pages.pattern})$")
            parts["scripts"] = parts["scripts"].replace(found[0], "")
            parts["metas"] += f'<meta name="spi-tables" content="{found[1]}" data-pages="{pattern}">'
        return super().interpolate_index(**parts)
