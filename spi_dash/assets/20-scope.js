/* The scope (project, dates, traps, detector, zone) is the address of the page; controls and address follow each other. */
"use strict";
spi.scope = {
    WITHOUT_PROJECT: {project: "", device: "", trap: "", page: ""},
    shown: null, // what Dash was told last
    resolved: null, // what the server made of it
    offered: null, // the same, as the controls show it

    /** Change the address, and with it the page. Empty values are taken out of it. */
    go(changes, {replace = false} = {}) {
        const query = new URLSearchParams(location.search);
        for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
        spi.scope.setDays(query);
        const search = spi.scope.search(query);
        if (search === location.search) return;
        history[replace ? "replaceState" : "pushState"](null, "", location.pathname + search);
        spi.scope.tell();
    },

    /** As addresses carry it. */
    search(query) {
        const text = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("+", "%20");
        return text ? `?${text}` : "";
    },

    goTo: (start, end) => spi.scope.go({start: spi.time.text(start), end: spi.time.text(end)}),

    /** Tell Dash that the address has changed, or that something new is there. */
    tell(extra = {}) {
        if (!extra.since) {
            if (spi.scope.shown === location.search) return;
            spi.loading.begin();
        }
        spi.scope.shown = location.search;
        dash_clientside.set_props("shell-scope", {data: {search: location.search, ...extra}});
    },

    /** The range as the server made it out; Explore's own answer may come before the one for the controls. */
    now: () => spi.scope.resolved || spi.explore.data,

    /** The range without dates, as quick ranges call it: of a project, all of it. */
    usual: () => (new URLSearchParams(location.search).get("project") ? "all" : "-28d"),

    DATE: /^(19[789]|2[01]\d)\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])(T([01]\d|2[0-3]):[0-5]\dZ)?$/, // as long as February

    /** Whether the server reads these dates for sure: then nobody needs to ask it before. */
    plain(query) {
        const {DATE} = spi.scope, [start, end] = ["start", "end"].map((name) => (query.getAll(name).at(-1) || "").trim());
        if (!DATE.test(start)) return /^(season|all|-\d{1,4}[hd])?$/.test(start); // the end means nothing then
        const until = end || new Date().toISOString().slice(0, 16) + "Z", [from, to] = [start, until].map((date) => date.slice(0, 10));
        return DATE.test(until) && (from < to || (start.length === until.length && (start < until || start === to)));
    },

    /** Dates that the server cannot read go out of the address, so that all that is asked for means the same. Resolves with what is wrong. */
    async mend() {
        const response = await fetch(`/scope/dates.json${location.search}`, {cache: "no-store"}).catch(() => null);
        const {problem} = response && response.ok ? await response.json() : {};
        const query = new URLSearchParams(location.search);
        if (!problem) return "";
        for (const name of ["start", "end"]) query.delete(name);
        spi.scope.put(query);
        return problem;
    },

    put: (query) => history.replaceState(history.state, "", location.pathname + spi.scope.search(query) + location.hash),

    /** Days of the reader's zone become moments: the server does not know when they begin. Tells whether there were any. */
    setDays(query) {
        const mine = query.get("zone") === "reader" ? ["start", "end"] : [];
        return mine.filter((name) => {
            const [, year, month, day] = /^([12]\d{3})-(\d\d)-(\d\d)$/.exec(query.get(name)) || [];
            const [begins, ends] = [0, 1].map((more) => new Date(year, month - 1, Number(day) + more));
            if (begins.getDate() !== Number(day)) return false; // no day, or none that there is
            query.set(name, spi.time.text((name === "end" ? ends : begins) / 1000));
            return true;
        }).length > 0;
    },

    /** The query of the address, with moments for days. */
    read() {
        const query = new URLSearchParams(location.search);
        if (spi.scope.setDays(query)) spi.scope.put(query);
        return query;
    },

    /** Make the address one that can be asked for: a promise where the server has to say whether it is. */
    settle: () => (spi.scope.plain(spi.scope.read()) ? null : spi.scope.mend()),

    PAINT_MS: 120,

    /** Resolves when Explore's plots have come and were painted, or after a second; at once on other pages. */
    async drawn() {
        const until = performance.now() + 1000;
        const loading = () => document.body.classList.contains("is-loading") && location.pathname === "/";
        const pause = (ms) => new Promise((done) => setTimeout(done, ms));
        if (!loading()) return;
        while (loading() && performance.now() < until) await pause(30);
        await pause(spi.scope.PAINT_MS);
    },

    /** What is the same stays untouched: somebody may be in the middle of choosing dates. */
    setControls(resolved) {
        const {controls = {}} = spi.scope, {choices, clock, site, projects, total, project} = resolved, n = resolved.devices.length;
        const text = !total && project ? "no traps" : n === total ? `all ${n} traps` : `${n} of ${total} traps`;
        const offer = JSON.stringify([choices, clock, site, projects]), again = offer !== spi.scope.offer;
        const wanted = {
            "shell-dates": {value: [spi.time.day(resolved.start), spi.time.day(resolved.end - 1)], numberOfColumns: spi.scope.months()},
            "shell-devices": {value: resolved.devices},
            "shell-detector": {value: resolved.detector || null},
            "shell-zone": {value: resolved.zone},
            "shell-devices-button": {children: text},
            "shell-project": {value: project ? project.key : "all"},
            "shell-zone-note": {children: resolved.zone_note},
            "shell-project-note": {children: resolved.project_note},
        };
        for (const [id, props] of Object.entries(wanted))
            if (again || JSON.stringify(props) !== JSON.stringify(controls[id])) {
                if ("value" in props) spi.scope.expected.set(id, JSON.stringify(props.value));
                dash_clientside.set_props(id, props);
            }
        if (again) dash_clientside.set_props("shell-offer", {data: {search: spi.scope.shown, offer}});
        Object.assign(spi.scope, {controls: wanted, offer});
    },

    expected: new Map(), // values on their way into the controls

    /** Whether we have set this ourselves: no choice of a person, though another answer may have come since. */
    own(id, value) {
        const own = spi.scope.expected.get(id) === JSON.stringify(value);
        spi.scope.expected.delete(id);
        return own;
    },

    narrow: matchMedia("(max-width: 560px)"),
    months: () => (spi.scope.narrow.matches ? 1 : 2), // side by side in the calendar

    markQuick() {
        const query = new URLSearchParams(location.search);
        const start = query.get("end") ? "" : query.get("start") || spi.scope.usual();
        for (const button of document.querySelectorAll(".quick"))
            button.setAttribute("aria-pressed", String(button.dataset.start === start));
    },
};

dash_clientside.scope = {
    read() {
        if (spi.scope.shown === location.search) return dash_clientside.no_update;
        const mending = spi.scope.mending || spi.scope.settle();
        spi.scope.mending = null;
        return mending ? mending.then(dash_clientside.scope.begin) : dash_clientside.scope.begin("");
    },

    begin(problem) {
        if (problem) spi.toast.show(`The dates of this link could not be read: these are the usual ones. ${problem}`);
        spi.scope.read(); // the zone that a person prefers has come in meanwhile
        spi.scope.shown = location.search;
        spi.loading.begin();
        return {search: location.search};
    },

    /** The server's answer into the controls, once the page has drawn: their drawing takes longer than all the plots. */
    async show(resolved) {
        if (!resolved) return;
        spi.scope.resolved = resolved;
        document.querySelector(".project-choice").hidden = resolved.projects.length < 2;
        spi.time.use(resolved);
        spi.scope.markQuick();
        await spi.scope.drawn();
        if (spi.scope.resolved === resolved) spi.scope.setControls(resolved); // else a newer answer has come meanwhile
    },

    dates(value, resolved) {
        if (!value || !value[0] || !value[1] || !resolved || spi.scope.own("shell-dates", value)) return;
        const [from, to] = value.map((day) => day.slice(0, 10));
        if (from === spi.time.day(resolved.start) && to === spi.time.day(resolved.end - 1)) return;
        spi.scope.goTo(spi.time.midnight(from), spi.time.midnight(spi.time.day(spi.time.midnight(to) + 90000)));
    },

    devices(value, resolved) {
        if (!value || !value.length || !resolved || spi.scope.own("shell-devices", value)) return;
        if ([...value].sort().join() === [...resolved.devices].sort().join()) return;
        spi.scope.go({device: value.length === resolved.total ? "" : value.join(",")});
    },

    detector(value, resolved) {
        if (value && resolved && !spi.scope.own("shell-detector", value) && value !== resolved.detector) spi.scope.go({detector: value});
    },

    /** Another project has other traps and dates: it is shown as a whole. All traps are shown in the dates that are chosen. */
    project(value, resolved) {
        if (!value || !resolved || spi.scope.own("shell-project", value) || value === (resolved.project ? resolved.project.key : "all")) return;
        spi.scope.go(value === "all" ? spi.scope.WITHOUT_PROJECT : {...spi.scope.WITHOUT_PROJECT, project: value, start: "", end: ""});
    },

    zone(value, resolved) {
        if (value && resolved && !spi.scope.own("shell-zone", value) && value !== resolved.zone) spi.scope.go({zone: value === "site" ? "" : value});
    },
};

spi.scope.mending = spi.scope.settle(); // before Dash reads the address

window.addEventListener("popstate", () => spi.scope.tell());
spi.scope.narrow.addEventListener("change", () => {
    if (spi.scope.controls) dash_clientside.set_props("shell-dates", {numberOfColumns: spi.scope.months()});
});

document.addEventListener("click", async (event) => {
    const quick = event.target.closest(".quick"), newest = event.target.closest(".go-newest");
    if (quick) spi.scope.go({start: quick.dataset.start === spi.scope.usual() ? "" : quick.dataset.start, end: ""});
    if (event.target.closest(".leave-project")) spi.scope.go({...spi.scope.WITHOUT_PROJECT, start: "", end: ""});
    if (newest) {
        const end = Number(newest.dataset.newest) + 1, shown = spi.scope.now(), most = 28 * 86400;
        spi.scope.goTo(end - (shown ? Math.min(most, Math.max(86400, shown.end - shown.start)) : most), end + 60);
    }
    if (event.target.closest(".copy-link") && spi.scope.now()) {
        const {start, end} = spi.scope.now(), query = new URLSearchParams(location.search);
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
