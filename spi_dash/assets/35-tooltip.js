/* The frame under the pointer: thumbnail, outlines, values. Only the outlines are asked for, after a moment of rest. */
"use strict";
spi.tooltip = {
    box: null, key: "", timer: 0,

    make() {
        const picture = spi.make("div.tip-picture", {}, [spi.make("img", {alt: ""}), spi.outlines.layer()]);
        const lines = spi.make("div.cursor-line");
        document.body.append(lines);
        return document.body.appendChild(spi.make("div.tip", {role: "tooltip"}, [picture, spi.make("div.tip-title"), spi.make("div.tip-text")]));
    },

    show(found, x, y) {
        const tip = (spi.tooltip.box ||= spi.tooltip.make()), {row, i, t} = found, key = `${row.device}/${t}`;
        if (key !== spi.tooltip.key) {
            spi.tooltip.key = key;
            spi.tooltip.fill(tip, row, i, t);
        }
        tip.classList.add("shown");
        const width = tip.offsetWidth, height = tip.offsetHeight;
        const left = x + 20 + width < innerWidth ? x + 20 : Math.max(4, x - width - 20);
        tip.style.left = `${left}px`;
        tip.style.top = `${Math.max(52, Math.min(innerHeight - height - 8, y - height / 3))}px`;
        spi.tooltip.line(found);
    },

    /** A line through all rows at the moment of this frame. */
    line({node, row, i}) {
        const line = document.querySelector(".cursor-line"), root = spi.explore.root();
        const box = node.querySelector("canvas").getBoundingClientRect(), rows = root.getBoundingClientRect();
        line.style.left = `${box.left + spi.plot.x(spi.explore.view, row.x[i])}px`;
        line.style.top = `${Math.max(96, rows.top)}px`;
        line.style.height = `${Math.max(0, Math.min(innerHeight, rows.bottom) - Math.max(96, rows.top))}px`;
        line.classList.add("shown");
    },

    hide() {
        if (!spi.tooltip.box) return;
        spi.tooltip.box.classList.remove("shown");
        document.querySelector(".cursor-line").classList.remove("shown");
        clearTimeout(spi.tooltip.timer);
    },

    fill(tip, row, i, t) {
        const picture = tip.querySelector("img"), base = `/frames/${row.device}/${t}`;
        picture.src = `${base}/mini.jpg`;
        spi.outlines.clear(tip.querySelector(".outlines"));
        tip.querySelector(".tip-title").textContent =
            `${row.name || row.device} · ${spi.time.weekday(t)} ${spi.time.stamp(t).slice(0, 4)} ${spi.time.clock(t)} (${spi.time.label(t)})`;
        tip.querySelector(".tip-text").replaceChildren(...spi.tooltip.values(row, i));
        clearTimeout(spi.tooltip.timer);
        spi.tooltip.timer = setTimeout(() => spi.tooltip.sharpen(tip, picture, base, row.device, t), 120);
    },

    async sharpen(tip, picture, base, device, t) {
        const sharp = new Image(), key = spi.tooltip.key;
        sharp.onload = () => key === spi.tooltip.key && (picture.src = sharp.src);
        sharp.src = `${base}/thumbnail.jpg`;
        const frame = await spi.frames.get(device, t);
        if (frame && key === spi.tooltip.key) spi.tooltip.outlines(tip.querySelector(".outlines"), frame);
    },

    /** As the picture lies in its box: whole, in the middle. */
    outlines(canvas, frame) {
        const {width, height} = frame, [w, h] = [canvas.clientWidth, canvas.clientHeight], scale = Math.min(w / width, h / height);
        spi.outlines.draw(canvas, frame, {scale, x: (w - width * scale) / 2, y: (h - height * scale) / 2});
    },

    values(row, i) {
        const parts = [], some = (value) => value !== undefined && !Number.isNaN(value);
        if (some(row.temp[i])) parts.push(`${row.temp[i].toFixed(1)} °C`);
        if (some(row.hum[i])) parts.push(`${row.hum[i].toFixed(0)} %`);
        if (some(row.lum[i])) parts.push(`light ${row.lum[i].toFixed(1)}`);
        const insects = some(row.insects[i]) ? spi.make("b", {}, spi.tooltip.count(row, i)) : "not processed yet";
        const head = parts.length ? parts.join(" · ") + " · " : "no sensor values · ";
        const mean = row.bucket ? spi.make("div.tip-mean", {}, spi.tooltip.bucket(row, i)) : "";
        const also = row.insects2 ? spi.make("div.tip-also", {}, spi.tooltip.compared(row, i)) : "";
        return [head, insects, also, mean];
    },

    /** The count of the compared version, with its denominator. */
    compared(row, i) {
        const version = spi.explore.data.detectors.find(([key]) => key === spi.explore.data.compare)[2];
        if (Number.isNaN(row.insects2[i])) return `not processed by ${version}`;
        return `${spi.tooltip.count(row, i, row.insects2)} by ${version}` + (row.bucket ? `, ${row.done2[i]} processed` : "");
    },

    count(row, i, values = row.insects) {
        const value = values[i], text = row.bucket ? value.toFixed(1).replace(/\.0$/, "") : String(value);
        return `${text} ${value === 1 ? "insect" : "insects"}`;
    },

    bucket(row, i) {
        // Points are whole hours or days of UTC: where clocks stand half an hour apart from it, they say so.
        const {start, end} = spi.explore.data, from = Math.max(start, row.from[i]), to = Math.min(end, row.from[i] + row.bucket);
        const until = spi.time.day(from) === spi.time.day(to) ? spi.time.clock(to) : spi.time.stamp(to), length = `${spi.time.stamp(from)} to ${until}`;
        const hole = row.holes.get(i);
        return `means of ${row.n[i]} pictures from ${length}, ${row.done[i]} processed` +
            (hole ? ` · ${spi.time.ago(hole)} without pictures` : "") +
            (Number.isNaN(row.low[i]) ? "" : ` · ${row.low[i].toFixed(1)} to ${row.high[i].toFixed(1)} °C`);
    },
};

/* Frames as the server describes them, the last few hundred kept until something changes. */
spi.frames = {
    kept: new Map(),

    forget: () => spi.frames.kept.clear(),

    get(device, t) {
        const detector = (spi.scope.resolved && spi.scope.resolved.detector) || "";
        const url = `/frames/${encodeURIComponent(device)}/${t}/frame.json?detector=${encodeURIComponent(detector)}` +
            `&compare=${encodeURIComponent(spi.compare.wanted())}`;
        if (!spi.frames.kept.has(url)) {
            spi.frames.kept.set(url, spi.frames.fetch(url));
            if (spi.frames.kept.size > 400) spi.frames.kept.delete(spi.frames.kept.keys().next().value);
        }
        return spi.frames.kept.get(url);
    },

    async fetch(url) {
        const response = await fetch(url, {cache: "no-cache"}).catch(() => null);
        const frame = response && response.ok ? await response.json().catch(() => null) : null;
        if (!frame) spi.frames.kept.delete(url); // another look asks again
        return frame;
    },
};
