/* What a person prefers, on every page: the zone where the address names none, the theme where this browser has no own. */
"use strict";
spi.preferences = {
    /** Use them now, and from now on before the page is drawn. */
    apply({zone, theme}) {
        localStorage.setItem("spi-zone", zone);
        if (!localStorage.getItem("spi-theme-here") && theme !== spi.theme.chosen()) spi.theme.choose(theme);
        spi.preferences.address(zone);
    },

    /** The zone goes into the address, so that a link shows the same to everybody. */
    address(zone) {
        const query = new URLSearchParams(location.search);
        if (!zone || zone === "site" || query.has("zone")) return;
        if (spi.scope.shown === null) history.replaceState(null, "", `${location.pathname}${location.search ? `${location.search}&` : "?"}zone=${zone}${location.hash}`);
        else spi.scope.go({zone}, {replace: true});
    },

    async fetch() {
        const response = await fetch("/settings/preferences.json");
        if (response.ok) spi.preferences.apply(await response.json());
    },

    /** A button of the settings page was pressed. */
    async choose(button) {
        const {preference: name, value} = button.dataset;
        if (name === "theme") {
            localStorage.removeItem("spi-theme-here");
            spi.theme.choose(value);
        } else {
            localStorage.setItem("spi-zone", value);
            spi.scope.go({zone: value === "site" ? "" : value}, {replace: true});
        }
        for (const each of button.parentNode.children) each.setAttribute("aria-pressed", String(each === button));
        const answer = await spi.settings.act("choose_preference", {name, value});
        if (answer.error) spi.toast.show(answer.error, answer.id);
    },
};
spi.preferences.address(localStorage.getItem("spi-zone")); // before Dash reads the address
spi.preferences.fetch();

document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-preference]");
    if (button) spi.preferences.choose(button);
    if (event.target.closest("[data-theme]")) localStorage.setItem("spi-theme-here", "1"); // the menu: this browser only
});
