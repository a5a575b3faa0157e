/* The header's links: they keep the scope, and say which page is open. */
"use strict";
dash_clientside.links = {
    /** A page below the one of a link is not that page, but belongs to it. */
    mark(path) {
        for (const link of document.querySelectorAll("a.page-link")) {
            const own = new URL(link.href).pathname;
            if (path === own) link.setAttribute("aria-current", "page");
            else if (own !== "/" && path.startsWith(`${own}/`)) link.setAttribute("aria-current", "true");
            else link.removeAttribute("aria-current");
        }
    },
};

document.addEventListener("click", (event) => {
    const link = event.target.closest("a.page-link");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    event.stopPropagation();
    history.pushState(null, "", new URL(link.href).pathname + location.search);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
}, true);
