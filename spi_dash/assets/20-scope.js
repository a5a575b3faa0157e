/* The scope (dates, traps, detector, zone) is the address of the page; controls and address follow each other. */
"use strict";
spi.scope = {
    shown: null, // what Dash was told last
    resolved: null, // what the server made of it

    /** Change the address, and with it the page. Empty values are taken out of it. */
    go(changes, {replace = false} = {}) {
        const query = new URLSearchParams(location.search);
        for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
        const text = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("+", "%20");
        const search = text ? `?${text}` : "";
        if (search === location.search) return;
        history[replace ? "replaceState" : "pushState"](null, "", location.pathname + search);
        spi.scope.tell();
    },

    goTo: (start, end) => spi.scope.go({start: spi.time.text(start), end: spi.time.text(end)}),

    /** Tell Dash that the address has changed, or that something new is there. */
    tell(extra = {}) {
        if (!extra.since) {
            if (spi.scope.shown === location.search) return;
            document.body.classList.add("is-loading");
        }
        spi.scope.shown = location.search;
        dash_clientside.set_props("shell-scope", {data: {search: location.search, ...extra}});
    },

    markQuick() {
        const query = new URLSearchParams(location.search);
        const start = query.get("end") ? "" : query.get("start") || "-28d";
        for (const button of document.querySelectorAll(".quick"))
            button.setAttribute("aria-pressed", String(button.dataset.start === start));
    },
};

dash_clientside.scope = {
    read() {
        if (spi.scope.shown === location.search) return dash_clientside.no_update;
        spi.scope.shown = location.search;
        document.body.classList.add("is-loading");
        return {search: location.search};
    },

    /** The server's answer into the controls. */
    show(resolved) {
        if (!resolved) return Array(5).fill(dash_clientside.no_update);
        const before = spi.scope.controls || [], again = (spi.scope.resolved || {}).choices !== resolved.choices;
        spi.scope.resolved = resolved;
        spi.time.use(resolved);
        spi.scope.markQuick();
        const n = resolved.devices.length, text = n === resolved.total ? `all ${n} traps` : `${n} of ${resolved.total} traps`;
        const dates = [spi.time.day(resolved.start), spi.time.day(resolved.end - 1)];
        spi.scope.controls = [dates, resolved.devices, resolved.detector || null, resolved.zone, text];
        // What is the same stays untouched: drawing fifty check boxes takes longer than all the plots, and somebody may
        // be in the middle of choosing dates.
        return spi.scope.controls.map((value, k) =>
            !again && JSON.stringify(value) === JSON.stringify(before[k]) ? dash_clientside.no_update : value);
    },

    dates(value, resolved) {
        if (!value || !value[0] || !value[1] || !resolved) return;
        const [from, to] = value.map((day) => day.slice(0, 10));
        if (from === spi.time.day(resolved.start) && to === spi.time.day(resolved.end - 1)) return;
        spi.scope.goTo(spi.time.midnight(from), spi.time.midnight(spi.time.day(spi.time.midnight(to) + 90000)));
    },

    devices(value, resolved) {
        if (!value || !value.length || !resolved) return;
        if ([...value].sort().join() === [...resolved.devices].sort().join()) return;
        spi.scope.go({device: value.length === resolved.total ? "" : value.join(",")});
    },

    detector(value, resolved) {
        if (value && resolved && value !== resolved.detector) spi.scope.go({detector: value});
    },

    zone(value, resolved) {
        if (value && resolved && value !== resolved.zone) spi.scope.go({zone: value === "site" ? "" : value});
    },
};

window.addEventListener("popstate", () => spi.scope.tell());

document.addEventListener("click", async (event) => {
    const quick = event.target.closest(".quick"), newest = event.target.closest(".go-newest");
    if (quick) spi.scope.go({start: quick.dataset.start === "-28d" ? "" : quick.dataset.start, end: ""});
    if (newest) {
        const end = Number(newest.dataset.newest) + 1, resolved = spi.scope.resolved;
        spi.scope.goTo(end - Math.min(28 * 86400, Math.max(86400, resolved.end - resolved.start)), end + 60);
    }
    if (event.target.closest(".copy-link")) {
        const {start, end} = spi.scope.resolved, query = new URLSearchParams(location.search);
        query.set("start", spi.time.text(start));
        query.set("end", spi.time.text(end));
        const text = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
        await spi.copy(`${location.origin}${location.pathname}?${text}`, "Link copied.");
    }
    const pick = event.target.closest("[data-pick]");
    if (pick) for (const box of document.querySelectorAll(".device-list input"))
        if (box.offsetParent && box.checked !== (pick.dataset.pick === "all")) box.click();
});

document.addEventListener("input", (event) => {
    if (!event.target.matches("input.find, .find input")) return;
    const wanted = event.target.value.toLowerCase();
    for (const choice of document.querySelectorAll(".device-list .mantine-Checkbox-root"))
        choice.style.display = choice.textContent.toLowerCase().includes(wanted) ? "" : "none";
});

spi.copy = async (text, said) => {
    try {
        await navigator.clipboard.writeText(text);
        spi.toast.show(said, "", "quiet");
    } catch {
        window.prompt("Copy this:", text);
    }
};
