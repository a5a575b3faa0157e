/* The header's links: they keep the scope, and say which page is open, as its title does. */
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
        spi.links.watch();
    },

    /** The page of a project is called as the project. */
    title(head) {
        const name = spi.links.heading(head);
        if (name) document.title = `${name} - Spi Dash`;
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

    /** The open page's link is in sight where not all of them are, also when the header has got another width. */
    reveal() {
        const nav = document.querySelector("header nav"), link = nav.querySelector("[aria-current]");
        if (!link) return;
        const [box, own] = [nav, link].map((each) => each.getBoundingClientRect());
        nav.scrollLeft += (own.left + own.right - box.left - box.right) / 2; // of this list alone: the page stays
    },

    watch() {
        spi.links.watcher ||= new ResizeObserver(spi.links.reveal);
        spi.links.watcher.observe(document.querySelector("header nav"));
        spi.links.reveal();
    },

    /** The text of the first heading in a part of a page, as Dash holds it. */
    heading(part) {
        if (Array.isArray(part)) return part.reduce((found, each) => found || spi.links.heading(each), "");
        if (!part || !part.props) return "";
        return part.type === "H1" ? String(part.props.children) : spi.links.heading(part.props.children);
    },
};

/* Who does not see a page come hears its title. The first one is read out by itself. */
{
    let before = "";
    new MutationObserver(() => {
        const {title} = document, box = document.getElementById("shell-title");
        if (before && title !== before && box) box.textContent = title;
        before = title;
    }).observe(document.querySelector("title"), {childList: true});
}

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
