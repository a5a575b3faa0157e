/* Loaded first: the namespace of our scripts, theme, expired sessions, the toast. */
"use strict";
window.spi = {};
window.dash_clientside = window.dash_clientside || {};

spi.theme = {
    /** "light", "dark" or "auto", as chosen in this browser. */
    chosen: () => localStorage.getItem("spi-theme") || "auto",

    apply(choice) {
        const dark = choice === "dark" || (choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
        document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
        window.dispatchEvent(new Event("spi-theme"));
    },

    choose(choice) {
        localStorage.setItem("spi-theme", choice);
        localStorage.setItem("mantine-color-scheme-value", choice);
        spi.theme.apply(choice);
    },
};
localStorage.setItem("mantine-color-scheme-value", spi.theme.chosen());
spi.theme.apply(spi.theme.chosen());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => spi.theme.apply(spi.theme.chosen()));

spi.session = {
    leaving: false,

    /** To the sign-in form, which leads back to this very address. */
    expired() {
        if (spi.session.leaving) return;
        spi.session.leaving = true;
        const next = encodeURIComponent(location.pathname + location.search);
        location.assign(`/sign-in?expired=1&next=${next}`);
    },
};

{
    const fetchAsIs = window.fetch.bind(window);
    window.fetch = async (...what) => {
        const response = await fetchAsIs(...what);
        const path = new URL(response.url || "/", location.href).pathname;
        if (response.status !== 401 && !(response.redirected && path === "/sign-in")) return response;
        spi.session.expired();
        return new Promise(() => {}); // the page is left: nobody needs to hear of the refusal
    };
}

spi.toast = {
    timer: 0,

    /** One sentence; it goes by itself. */
    show(text, id, kind = "error") {
        const box = document.querySelector(".toast");
        if (!box) return;
        (document.querySelector("dialog[open]") || document.body).append(box); // above what is open
        box.textContent = text;
        if (id) box.append(Object.assign(document.createElement("small"), {textContent: `Request ${id}`}));
        box.className = `toast shown ${kind}`;
        clearTimeout(spi.toast.timer);
        spi.toast.timer = setTimeout(() => box.classList.remove("shown"), 8000);
        document.body.classList.remove("is-loading");
    },
};

dash_clientside.shell = {
    toast(data) {
        if (data) spi.toast.show(data.text, data.id);
        return dash_clientside.no_update;
    },
};

/** Make an element: spi.make("button.plain", {title}, [children]). */
spi.make = (kind, attributes = {}, children = []) => {
    const [tag, ...classes] = kind.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...[].concat(children));
    return element;
};
spi.icon = (name) => spi.make(`span.icon.icon-${name}`, {"aria-hidden": "true"});

document.addEventListener("click", (event) => {
    const theme = event.target.closest("[data-theme]");
    if (theme) spi.theme.choose(theme.dataset.theme);
});

/* Menus close when something else is wanted. */
document.addEventListener("pointerdown", (event) => {
    for (const menu of document.querySelectorAll("details.drop[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.drop[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
});
