/* How many tuboids began per day and per hour of the day, a row of bars for each taxon, in the reader's zone. */
"use strict";
spi.tuboidCounts = {
    ROWS: 8, // taxa; what is rarer is counted together

    asked: 0,

    /** What the server counted in the reader's zone, when somebody has opened the bars. */
    async ask() {
        const box = document.querySelector(".tuboid-counts"), number = ++spi.tuboidCounts.asked;
        if (!box || !box.open) return;
        const query = new URLSearchParams(location.search);
        query.set("tz", Intl.DateTimeFormat().resolvedOptions().timeZone);
        const response = await fetch(`/tuboids/counts.json?${query}`, {cache: "no-store"});
        if (number !== spi.tuboidCounts.asked) return; // the page is another meanwhile
        if (!response.ok) return spi.toast.show("The numbers could not be read. Please try again.");
        spi.tuboidCounts.draw(await response.json());
    },

    /** [{name, total, days: Map, hours: []}], the most frequent first. */
    group(taxa) {
        const rows = taxa.map((taxon) => spi.tuboidCounts.row(taxon)).sort((a, b) => b.total - a.total);
        if (rows.length <= spi.tuboidCounts.ROWS) return rows;
        const kept = rows.slice(0, spi.tuboidCounts.ROWS - 1), rest = rows.slice(kept.length);
        const others = {name: `${rest.length} others`, total: 0, days: new Map(), hours: Array(24).fill(0)};
        for (const row of rest) {
            others.total += row.total;
            for (const [day, count] of row.days) others.days.set(day, (others.days.get(day) || 0) + count);
            row.hours.forEach((count, hour) => { others.hours[hour] += count; });
        }
        return [...kept, others];
    },

    row({path, days, hours}) {
        const row = {name: path.length ? path.filter(Boolean).join(" \u203a ") : "unlabelled", total: 0, days: new Map(), hours: Array(24).fill(0)};
        for (const [day, count] of days) row.days.set(new Date(day * 86400_000).toISOString().slice(0, 10), count);
        for (const [hour, count] of hours) {
            row.hours[hour] = count;
            row.total += count;
        }
        return row;
    },

    /** Every day of the scope, those without tuboids too. */
    days({start, end}) {
        const days = [];
        for (let t = Date.parse(spi.time.day(start)); t <= Date.parse(spi.time.day(end - 1)); t += 86400_000)
            days.push(new Date(t).toISOString().slice(0, 10));
        return days;
    },

    bars(values, names, says) {
        const space = "http://www.w3.org/2000/svg", most = Math.max(1, ...values), svg = document.createElementNS(space, "svg");
        const attributes = {class: "bars", viewBox: `0 0 ${values.length} 40`, preserveAspectRatio: "none", role: "img", "aria-label": says};
        for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
        values.forEach((value, k) => {
            if (!value) return;
            const bar = document.createElementNS(space, "rect"), title = document.createElementNS(space, "title");
            const height = (38 * value) / most, place = {x: k + 0.1, y: 40 - height, width: 0.8, height};
            for (const [name, number] of Object.entries(place)) bar.setAttribute(name, number);
            title.textContent = `${names[k]}: ${value}`;
            bar.append(title);
            svg.append(bar);
        });
        return svg;
    },

    chart(values, names, ends, says) {
        const {make} = spi.tuboids, box = make("div", ""), axis = make("div", "axis");
        axis.append(make("span", "", ends[0]), make("span", "", `most: ${Math.max(...values)}`), make("span", "", ends[1]));
        box.append(spi.tuboidCounts.bars(values, names, says), axis);
        return box;
    },

    table(head, names, rows, pick) {
        const {make} = spi.tuboids, table = make("table", ""), first = make("tr", "");
        first.append(...[head, ...rows.map((row) => row.name)].map((text) => make("th", "", text, {scope: "col"})));
        table.append(first);
        names.forEach((name, k) => {
            const line = make("tr", "");
            line.append(make("th", "", name, {scope: "row"}), ...rows.map((row) => make("td", "", pick(row, k))));
            table.append(line);
        });
        return table;
    },

    draw({start, end, taxa}) {
        const {make} = spi.tuboids, box = document.querySelector(".charts"), rows = spi.tuboidCounts.group(taxa);
        const opened = box.querySelector("details[open] .scroll"), at = opened ? opened.scrollTop : 0;
        const days = spi.tuboidCounts.days({start, end}), hours = Array.from({length: 24}, (_, k) => `${String(k).padStart(2, "0")}:00`);
        const zone = spi.time.labels(start, end);
        const lines = rows.map((row) => {
            const line = make("div", "chart-row");
            line.append(make("span", "", `${row.name}: ${spi.number(row.total)}`),
                spi.tuboidCounts.chart(days.map((day) => row.days.get(day) || 0), days, [days[0], days.at(-1)], `${row.name} per day`),
                spi.tuboidCounts.chart(row.hours, hours, ["0 h", "24 h"], `${row.name} per hour of the day`));
            return line;
        });
        const more = make("details", ""), tables = make("div", "scroll");
        tables.append(spi.tuboidCounts.table("Day", days, rows, (row, k) => row.days.get(days[k]) || 0),
            spi.tuboidCounts.table("Hour", hours, rows, (row, k) => row.hours[k]));
        more.append(make("summary", "", "As a table"), tables);
        const says = `Tuboids by when they began (${zone}) and by their newest label. Each row of bars has its own scale.`;
        more.open = Boolean(opened);
        box.replaceChildren(make("p", "", says), ...lines, more);
        tables.scrollTop = at;
    },
};

document.addEventListener("toggle", (event) => {
    if (event.target.matches(".tuboid-counts")) spi.tuboidCounts.ask();
}, true);
