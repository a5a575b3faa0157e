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

/* The script of the tables is large: pages without one load it when a link to a table is pointed at, see pages/tables.py. */
spi.tables = {
    named: document.querySelector("meta[name=spi-tables]"),
    coming: null,

    /** Whether Dash cannot draw the page of this path yet. */
    missing: (path) => Boolean(spi.tables.named && !window.dash_ag_grid && new RegExp(spi.tables.named.dataset.pages).test(path)),

    load() {
        return (spi.tables.coming ||= new Promise((done, failed) => {
            const script = spi.make("script", {src: spi.tables.named.content});
            script.addEventListener("load", done);
            script.addEventListener("error", failed);
            document.head.append(script);
        }));
    },
};

spi.links = {
    /** Open a page without leaving this document, unless Dash cannot draw it. */
    async open(address) {
        try {
            if (spi.tables.missing(new URL(address, location.href).pathname)) await spi.tables.load();
        } catch {
            return location.assign(address);
        }
        history.pushState(null, "", address);
        window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    },
};

for (const event of ["pointerover", "focusin", "touchstart"])
    document.addEventListener(event, ({target}) => {
        const link = target.closest?.("a[href]");
        if (link && spi.tables.missing(new URL(link.href).pathname)) spi.tables.load().catch(() => {}); // a click tells
    }, {passive: true});

document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const {pathname, search} = new URL(link.href), ofHeader = link.matches(".page-link");
    if (!ofHeader && !spi.tables.missing(pathname)) return;
    event.preventDefault();
    event.stopPropagation();
    spi.links.open(pathname + (ofHeader ? location.search : search));
}, true);
