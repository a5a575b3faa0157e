/* How many tuboids began per day and per hour of the day, a row of bars for each taxon, in the reader's zone. */
"use strict";
spi.tuboidCounts = {
    ROWS: 8, // taxa; what is rarer is counted together

    /** [{name, total, days: Map, hours: []}], the most frequent first. */
    group(slots) {
        const rows = new Map();
        for (const [t, path, count] of slots) {
            const name = path.length ? path.filter(Boolean).join(" \u203a ") : "unlabelled";
            spi.tuboidCounts.add(rows, name, spi.time.day(t), spi.time.shifted(t).getUTCHours(), count);
        }
        const sorted = [...rows.values()].sort((a, b) => b.total - a.total);
        if (sorted.length <= spi.tuboidCounts.ROWS) return sorted;
        const others = new Map(), kept = sorted.slice(0, spi.tuboidCounts.ROWS - 1), rest = sorted.slice(kept.length);
        for (const row of rest) for (const [day, hour, count] of row.parts) spi.tuboidCounts.add(others, `${rest.length} others`, day, hour, count);
        return [...kept, ...others.values()];
    },

    add(rows, name, day, hour, count) {
        if (!rows.has(name)) rows.set(name, {name, total: 0, days: new Map(), hours: Array(24).fill(0), parts: []});
        const row = rows.get(name);
        row.total += count;
        row.days.set(day, (row.days.get(day) || 0) + count);
        row.hours[hour] += count;
        row.parts.push([day, hour, count]);
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

    draw(slots, resolved) {
        const {make} = spi.tuboids, box = document.querySelector(".charts"), rows = spi.tuboidCounts.group(slots);
        const days = spi.tuboidCounts.days(resolved), hours = Array.from({length: 24}, (_, k) => `${String(k).padStart(2, "0")}:00`);
        const zone = spi.time.labels(resolved.start, resolved.end);
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
        box.replaceChildren(make("p", "", says), ...lines, more);
    },
};
