/* Explore: the rows of all traps, drawn when they come near the window. */
"use strict";
spi.explore = {
    data: null, rows: [], view: null, nodes: new Map(), series: {temp: true, hum: true, insects: true, lum: true}, shared: true,

    root: () => document.querySelector(".explore .rows"),

    /** The server's answer: all rows, or those that changed. */
    take(data) {
        const {explore} = spi, held = explore.data;
        if (data.search !== spi.scope.shown) return; // somebody has asked for something else since
        spi.loading.end();
        if (data.partial) {
            const same = held && ["start", "end", "bucket", "detector", "compare", "zone", "series"].every((name) => held[name] === data[name]);
            if (!same || held.devices.join() !== data.devices.join()) {
                spi.scope.shown = null;
                return spi.scope.tell();
            }
            const fresh = new Map(data.rows.map((row) => [row.device, spi.series.row(row)]));
            explore.rows = explore.rows.map((row) => fresh.get(row.device) || row);
        } else explore.rows = data.rows.map(spi.series.row);
        const zoomed = spi.pointer.zooming() || (data.partial && (explore.view.start !== held.start || explore.view.end !== held.end));
        data.days ||= held.days;
        explore.data = data;
        spi.compare.offer(data);
        spi.time.use(data);
        const {start, end} = zoomed ? explore.view : data;
        explore.show(start, end);
    },

    /** Draw a range; also while the finer data of a zoom is on its way. */
    show(start, end) {
        const {explore} = spi, root = explore.root();
        if (!root) return;
        const style = getComputedStyle(root), phone = root.clientWidth < 640;
        const label = phone ? 0 : parseInt(style.getPropertyValue("--label"), 10);
        const plotWidth = root.clientWidth - label - spi.plot.LEFT - spi.plot.RIGHT;
        if (plotWidth < 50) return;
        explore.view = {start, end, plotWidth, label, height: parseInt(style.getPropertyValue("--plot"), 10),
            series: explore.series, nights: explore.data.nights || {}, spans: explore.data.spans};
        explore.look = spi.plot.look();
        explore.press();
        explore.common = spi.series.scales(explore.rows);
        explore.place(root);
        spi.axis.draw(explore.view);
        spi.slider.draw(explore.view);
    },

    /** Buttons as they were left: the page may be a new one. */
    press() {
        for (const button of document.querySelectorAll("[data-series]")) button.setAttribute("aria-pressed", String(spi.explore.series[button.dataset.series]));
        for (const button of document.querySelectorAll("[data-scale]")) button.setAttribute("aria-pressed", String(spi.explore.shared));
    },

    /** One node per row, kept for as long as the trap is in scope. */
    place(root) {
        const {explore} = spi, old = explore.nodes, wanted = explore.rows.filter((row) => row.images || explore.data.rows.length);
        explore.nodes = new Map();
        explore.watcher ||= new IntersectionObserver(explore.seen, {rootMargin: "300px 0px"});
        for (const [k, row] of wanted.entries()) {
            const kept = old.get(row.device), node = kept && kept.isConnected ? kept : explore.makeRow(row);
            node.spiRow = row;
            node.spiStale = true;
            explore.nodes.set(row.device, node);
            if (node.parentNode !== root) explore.watcher.observe(node);
            else if (node.spiNear) explore.paint(node);
            if (root.children[k] !== node) root.insertBefore(node, root.children[k] || null);
        }
        for (const node of [...root.children]) if (!explore.nodes.has(node.dataset.device)) {
            explore.watcher.unobserve(node);
            node.remove();
        }
    },

    makeRow(row) {
        const canvas = spi.make("canvas.plot", {role: "img", tabindex: "0", "aria-label": spi.label.sentence(row)});
        const side = spi.make("div.side", {}, [canvas, spi.make("div.strip")]);
        return spi.make("section.row", {"data-device": row.device, "aria-label": row.name || row.device},
            [spi.make("div.label", {}, [spi.make("div.name", {}, row.name || row.device)]), side]);
    },

    seen(entries) {
        for (const entry of entries) {
            entry.target.spiNear = entry.isIntersecting;
            if (entry.isIntersecting && entry.target.spiStale) spi.explore.paint(entry.target);
        }
    },

    paint(node) {
        const {explore} = spi, row = node.spiRow, canvas = node.querySelector("canvas");
        node.spiStale = false;
        spi.label.fill(node.querySelector(".label"), row, explore.data);
        const scales = explore.shared ? explore.common : {...spi.series.scales([row]), lum: explore.common.lum};
        spi.plot.draw(canvas, row, explore.view, scales, explore.look);
        canvas.setAttribute("aria-label", spi.label.sentence(row));
        spi.strip.fill(node.querySelector(".strip"), row, explore.view);
    },

    again: () => spi.explore.view && spi.explore.show(spi.explore.view.start, spi.explore.view.end),
};

/* What stands left of a row. */
spi.label = {
    fill(box, row, data) {
        const age = Date.now() / 1000 - row.last, late = Math.max(5400, 4 * row.cadence);
        const state = !row.ever ? "never" : age < late ? "ok" : age < 3 * 86400 ? "late" : "silent";
        const name = spi.make("div.name", {title: row.name || row.device}, [spi.make("span", {}, row.name || row.device)]);
        if (data.writer) name.append(spi.make("button.rename", {title: "Name and site", "aria-label": `Name and site of ${row.name || row.device}`}, [spi.icon("pencil")]));
        const lines = [name];
        const second = [row.name ? row.device : "", row.site].filter(Boolean).join(" · ");
        if (second) lines.push(spi.make("div.where", {title: second}, second));
        const when = age < 30 * 86400 ? spi.time.ago(age) + (age < 90 ? "" : " ago")
            : spi.time.format(row.last, {day: "numeric", month: "short", year: "numeric"});
        lines.push(spi.make("div.state", {title: `last picture ${spi.time.stamp(row.last)} (${spi.time.label(row.last)})`},
            [spi.make(`span.dot.${state}`), when]));
        lines.push(spi.make("div.catch", {title: spi.label.sentence(row)}, spi.label.catch(row, data)));
        box.replaceChildren(...lines);
    },

    /** The newest count of the range, never without saying so when there is none. */
    catch(row, data) {
        if (!row.images) return "no pictures here";
        for (let i = row.inside[1] - 1; i >= row.inside[0]; i--)
            if (!Number.isNaN(row.insects[i])) {
                const count = Math.round(row.insects[i]);
                return `${count} ${count === 1 ? "insect" : "insects"}`;
            }
        return data.detector ? "awaiting detection" : "not detected";
    },

    sentence(row) {
        const waiting = row.images - row.annotated;
        return `${row.name || row.device}: ${spi.number(row.images)} pictures, ` +
            `${spi.number(row.objects)} ${row.objects === 1 ? "outline" : "outlines"} in ${spi.number(row.annotated)} of them` +
            (waiting ? `, ${spi.number(waiting)} awaiting detection` : "") +
            (row.insects2 ? `; compared: ${spi.number(row.objects2)} outlines in ${spi.number(row.annotated2)}` : "");
    },
};

/* The choice of a second detector version, offered where there are two. */
spi.compare = {
    offer({detectors, detector, compare}) {
        const box = document.querySelector(".compare-with"), choice = box.querySelector("select");
        const others = detectors.filter(([key]) => key !== detector), several = new Set(detectors.map(([, name]) => name)).size > 1;
        box.hidden = !others.length;
        box.classList.toggle("on", Boolean(compare));
        choice.replaceChildren(...[["", "", "nothing"], ...others].map(([value, name, text]) =>
            spi.make("option", {value, ...(value === compare ? {selected: ""} : {})}, several && name ? `${text} · ${name}` : text)));
    },

    /** The version that the address asks for, as frames are asked for it. */
    wanted: () => new URLSearchParams(location.search).get("compare") || "",
};

document.addEventListener("change", (event) => {
    if (event.target.matches("select.compare")) spi.scope.go({compare: event.target.value});
});

/* The time axis below all rows. */
spi.axis = {
    draw(view) {
        const axis = document.querySelector(".explore .ticks");
        const left = view.label + spi.plot.LEFT;
        const ticks = spi.time.ticks(view.start, view.end, view.plotWidth, view.label ? 84 : 64).map(({t, text, strong}) => {
            const part = (t - view.start) / (view.end - view.start);
            return spi.make(`span.tick${strong ? ".strong" : ""}`, {style: `left:${left + part * view.plotWidth}px`}, text);
        });
        axis.replaceChildren(spi.make("span.zone-name", {}, spi.time.labels(view.start, view.end)), ...ticks);
        const last = ticks[ticks.length - 1]; // its words may not fit before the edge
        if (last && last.getBoundingClientRect().right > axis.getBoundingClientRect().right) last.textContent = "";
    },
};

dash_clientside.explore = {
    draw(text) {
        if (!text) return dash_clientside.no_update;
        spi.explore.take(JSON.parse(text));
        spi.time.sayDays();
        return spi.explore.data ? spi.explore.data.days_key : dash_clientside.no_update; // an answer in part, to a page that has none
    },

    named() {
        spi.naming.box.close();
        spi.toast.show("Saved.", "", "quiet");
        spi.scope.shown = null;
        spi.scope.tell();
    },
};

/* A trap's name and site, for those who may write. */
spi.naming = {
    box: null,

    open(row) {
        const {make} = spi, field = (name, label, value, length) =>
            make("label", {}, [label, make("input", {name, value, maxlength: length, autocomplete: "off"})]);
        const cancel = make("button.outline", {type: "button"}, "Cancel");
        const form = make("form", {method: "dialog"}, [make("h2", {}, `Trap ${row.device}`), field("name", "Name", row.name, 64),
            field("site", "Site", row.site, 128), make("div.buttons", {}, [cancel, make("button.filled", {type: "submit"}, "Save")])]);
        const box = (spi.naming.box = make("dialog.small", {"aria-label": "Name and site"}, [form]));
        cancel.addEventListener("click", () => box.close());
        box.addEventListener("close", () => box.remove());
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            const {name, site} = form.elements;
            dash_clientside.set_props("explore-naming", {data: {device: row.device, name: name.value, site: site.value}});
        });
        document.body.append(box);
        box.showModal();
    },
};

{
    let timer = 0;
    const later = () => {
        clearTimeout(timer);
        timer = setTimeout(spi.explore.again, 60);
    };
    /** On paper: all rows, not only those near the window, and in light colours. */
    window.addEventListener("beforeprint", () => {
        document.documentElement.setAttribute("data-mantine-color-scheme", "light");
        if (!spi.explore.root()) return;
        spi.explore.again();
        for (const node of spi.explore.nodes.values()) if (node.spiStale) spi.explore.paint(node);
    });
    window.addEventListener("afterprint", () => spi.theme.apply(spi.theme.chosen()));
    window.addEventListener("resize", later);
    window.addEventListener("spi-theme", later);
}

document.addEventListener("click", (event) => {
    const series = event.target.closest("[data-series]"), scale = event.target.closest("[data-scale]");
    if (series) spi.explore.series[series.dataset.series] = !spi.explore.series[series.dataset.series];
    if (scale) spi.explore.shared = !spi.explore.shared;
    if (series || scale) spi.explore.again();
    if (event.target.closest(".zoom-out")) spi.pointer.zoomOut();
    const rename = event.target.closest(".rename");
    if (rename) spi.naming.open(rename.closest(".row").spiRow);
});
