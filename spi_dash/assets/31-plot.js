/* One row's plot on a canvas: night, gaps, insects, humidity, temperature, light. */
"use strict";
spi.plot = {
    LEFT: 40, RIGHT: 40, STRIP: 6,
    DASH: [4, 3], DOTS: [1.75, 2.5],

    x: (view, t) => spi.plot.LEFT + ((t - view.start) / (view.end - view.start)) * view.plotWidth,
    t: (view, x) => view.start + ((x - spi.plot.LEFT) / view.plotWidth) * (view.end - view.start),

    /** Colours of the theme, read once per drawing of all rows. */
    look() {
        const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(name).trim();
        return {ink: get("--ink"), quiet: get("--quiet"), temp: get("--temp"), hum: get("--hum"), grid: get("--grid"), also: get("--also"),
            dark: get("--light-low"), bright: get("--light-high"), paper: get("--paper"), font: get("--font-small")};
    },

    draw(canvas, row, view, scales, look) {
        const ratio = window.devicePixelRatio || 1, height = view.height + spi.plot.STRIP + 2;
        const width = view.plotWidth + spi.plot.LEFT + spi.plot.RIGHT;
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        canvas.style.height = `${height}px`;
        const pen = canvas.getContext("2d");
        pen.scale(ratio, ratio);
        pen.font = look.font;
        spi.plot.axes(pen, view, scales, look);
        pen.save();
        pen.beginPath();
        pen.rect(spi.plot.LEFT, 0, view.plotWidth, height);
        pen.clip();
        spi.plot.nights(pen, row, view, look);
        spi.plot.gaps(pen, row, view, look);
        if (view.series.insects) spi.plot.insects(pen, row, view, scales, look);
        if (view.series.insects && row.insects2) spi.plot.also(pen, row, view, scales, look);
        if (view.series.hum) spi.plot.line(pen, row, view, "hum", [0, 100], look.hum, spi.plot.DASH);
        if (view.series.temp) spi.plot.band(pen, row, view, scales, look);
        if (view.series.temp) spi.plot.line(pen, row, view, "temp", scales.temp, look.temp, []);
        if (view.series.lum) spi.plot.light(pen, row, view, scales, look);
        pen.restore();
    },

    y: (view, value, [low, high]) => 3 + (view.height - 6) * (1 - (value - low) / (high - low)),

    axes(pen, view, scales, look) {
        const [low, high] = scales.temp, middle = Math.round((low + high) / 2), right = spi.plot.LEFT + view.plotWidth;
        pen.textBaseline = "middle";
        for (const [part, temp, hum] of [[0.06, high, 100], [0.5, middle, 50], [0.94, low, 0]]) {
            const y = Math.round(view.height * part), tail = part === 0.94;
            pen.fillStyle = look.grid;
            if (part === 0.5) pen.fillRect(spi.plot.LEFT, y, view.plotWidth, 1);
            pen.fillStyle = look.quiet;
            pen.textAlign = "right";
            if (view.series.temp) pen.fillText(tail ? `${temp} °C` : String(temp), spi.plot.LEFT - 5, y);
            pen.textAlign = "left";
            if (view.series.hum) pen.fillText(tail ? `${hum} %` : String(hum), right + 5, y);
        }
    },

    nights(pen, row, view, look) {
        pen.fillStyle = look.ink;
        pen.globalAlpha = 0.05;
        for (const [from, to] of view.nights[row.night] || []) {
            const x = spi.plot.x(view, from);
            pen.fillRect(x, 0, spi.plot.x(view, to) - x, view.height);
        }
        pen.globalAlpha = 1;
    },

    /** Where nothing came: between points, and at the ends when there are pictures further on. */
    empty(row, view) {
        const {until} = spi.series, n = row.t.length, found = [], now = Date.now() / 1000;
        if (!n) return row.first < view.start && row.last > view.end ? [[view.start, view.end]] : [];
        const least = Math.max(3600, 3 * row.cadence);
        if (row.first < row.from[0] && row.from[0] - view.start > least) found.push([view.start, row.from[0]]);
        for (const i of row.gaps) found.push([until(row, i - 1), row.from[i]]);
        const end = until(row, n - 1), later = row.last > row.t[n - 1] || now - row.last < 14 * 86400;
        if (later && Math.min(view.end, now) - end > least) found.push([end, Math.min(view.end, now)]);
        return found;
    },

    /** Parts of a gap: [from, to, inside], outside of a project's series nothing is missing. */
    parts(from, to, spans) {
        const found = [];
        for (const [start, end] of spans) {
            if (end <= from || start >= to) continue;
            if (start > from) found.push([from, start, false]);
            found.push([Math.max(from, start), Math.min(to, end), true]);
            from = Math.min(to, end);
        }
        return from < to ? [...found, [from, to, false]] : found;
    },

    gaps(pen, row, view, look) {
        const spans = view.spans && (view.spans[row.device] || []);
        const found = spi.plot.empty(row, view).flatMap(([from, to]) => (spans ? spi.plot.parts(from, to, spans) : [[from, to, true]]));
        for (const [from, to, inside] of found) {
            const x = Math.max(spi.plot.LEFT, spi.plot.x(view, from)), end = Math.min(spi.plot.LEFT + view.plotWidth, spi.plot.x(view, to));
            if (!inside && end - x > 120) spi.plot.gapText(pen, "not in the project", (x + end) / 2, view, look);
            if (!inside || end - x < 4) continue;
            pen.save();
            pen.beginPath();
            pen.rect(x, 0, end - x, view.height);
            pen.clip();
            pen.strokeStyle = look.ink;
            pen.globalAlpha = 0.08;
            pen.lineWidth = 2;
            pen.beginPath();
            for (let at = x - view.height; at < end; at += 7) {
                pen.moveTo(at, view.height);
                pen.lineTo(at + view.height, 0);
            }
            pen.stroke();
            pen.restore();
            if (end - x > 120) spi.plot.gapText(pen, `no pictures for ${spi.time.ago(to - from)}`, (x + end) / 2, view, look);
        }
        spi.plot.holes(pen, row, view, look);
    },

    /** Gaps inside of points: a notch at the foot of the plot, as wide as the gap is long. */
    holes(pen, row, view, look) {
        pen.fillStyle = look.quiet;
        for (const [i, seconds] of row.holes) {
            const x = spi.plot.x(view, row.x[i]), width = Math.max(2, (seconds / (view.end - view.start)) * view.plotWidth);
            pen.fillRect(x - width / 2, view.height - 3, width, 3);
        }
    },

    gapText(pen, text, x, view, look) {
        const width = pen.measureText(text).width + 8, y = view.height / 2;
        pen.fillStyle = look.paper;
        pen.fillRect(x - width / 2, y - 8, width, 16);
        pen.fillStyle = look.quiet;
        pen.textAlign = "center";
        pen.fillText(text, x, y);
    },

    /** A step line and the area below it; broken where nothing was processed, and at gaps. */
    steps(row, values, view, scales) {
        const base = view.height - 1, top = (value) => base - (value / scales.insects) * (view.height - 8);
        const line = new Path2D(), area = new Path2D();
        let open = false, right = 0;
        for (let i = 0; i < row.t.length; i++) {
            const value = values[i];
            if (open && (Number.isNaN(value) || row.afterGap.has(i))) {
                area.lineTo(right, base);
                open = false;
            }
            if (Number.isNaN(value)) continue;
            const left = spi.plot.x(view, row.from[i]), y = top(value);
            if (!open) {
                line.moveTo(left, y);
                area.moveTo(left, base);
            }
            line.lineTo(left, y);
            area.lineTo(left, y);
            right = spi.plot.x(view, spi.series.until(row, i));
            line.lineTo(right, y);
            area.lineTo(right, y);
            open = true;
        }
        if (open) area.lineTo(right, base);
        return [line, area];
    },

    insects(pen, row, view, scales, look) {
        const [line, area] = spi.plot.steps(row, row.insects, view, scales);
        pen.fillStyle = look.ink;
        pen.globalAlpha = 0.07;
        pen.fill(area);
        pen.globalAlpha = 1;
        pen.strokeStyle = look.ink;
        pen.lineWidth = 1.25;
        pen.stroke(line);
    },

    /** What the compared version found: dotted, without area. */
    also(pen, row, view, scales, look) {
        pen.strokeStyle = look.also;
        pen.lineWidth = 1.75;
        pen.setLineDash(spi.plot.DOTS);
        pen.stroke(spi.plot.steps(row, row.insects2, view, scales)[0]);
        pen.setLineDash([]);
    },

    line(pen, row, view, name, scale, colour, dash) {
        const values = row[name], path = new Path2D(), dots = new Path2D();
        const holed = (i) => (row.holes.get(i) || 0) > row.bucket / 2;
        let run = 0;
        for (let i = 0; i <= values.length; i++) {
            const ends = i === values.length || Number.isNaN(values[i]) || row.afterGap.has(i) || holed(i) || holed(i - 1);
            if (ends && run === 1) {
                const x = spi.plot.x(view, row.x[i - 1]), y = spi.plot.y(view, values[i - 1], scale);
                dots.moveTo(x + 1.5, y);
                dots.arc(x, y, 1.5, 0, 7);
            }
            if (ends) run = 0;
            if (i === values.length || Number.isNaN(values[i])) continue;
            path[run ? "lineTo" : "moveTo"](spi.plot.x(view, row.x[i]), spi.plot.y(view, values[i], scale));
            run++;
        }
        pen.strokeStyle = pen.fillStyle = colour;
        pen.lineWidth = 1.3;
        pen.lineJoin = "round";
        pen.setLineDash(dash);
        pen.stroke(path);
        pen.setLineDash([]);
        pen.fill(dots);
    },

    /** From the coldest to the warmest of each bucket. */
    band(pen, row, view, scales, look) {
        if (!row.bucket) return;
        pen.fillStyle = look.temp;
        pen.globalAlpha = 0.16;
        for (let i = 0; i < row.low.length; i++) {
            if (Number.isNaN(row.low[i])) continue;
            const x = spi.plot.x(view, row.from[i]), y = spi.plot.y(view, row.high[i], scales.temp);
            const width = spi.plot.x(view, row.from[i] + row.bucket) - x;
            pen.fillRect(x, y, width, Math.max(1, spi.plot.y(view, row.low[i], scales.temp) - y));
        }
        pen.globalAlpha = 1;
    },

    light(pen, row, view, scales, look) {
        const [low, high] = scales.lum, y = view.height + 2, shades = spi.plot.shades(look);
        for (let i = 0; i < row.lum.length; i++) {
            if (Number.isNaN(row.lum[i])) continue;
            const x = spi.plot.x(view, row.from[i]), end = spi.plot.x(view, spi.series.until(row, i));
            const part = high > low ? Math.max(0, Math.min(1, (row.lum[i] - low) / (high - low))) : 0.5;
            pen.fillStyle = shades[Math.round(part * (shades.length - 1))];
            pen.fillRect(x, y, Math.max(end - x, 0.7) + 0.3, spi.plot.STRIP);
        }
    },

    /** Thirty-two colours from dark to bright: a canvas parses each `color-mix` anew. */
    shades(look) {
        const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
        const [dark, bright] = [parse(look.dark), parse(look.bright)];
        return (look.shades ||= Array.from({length: 32}, (_, k) =>
            `rgb(${dark.map((value, c) => Math.round(value + ((bright[c] - value) * k) / 31)).join()})`));
    },
};
