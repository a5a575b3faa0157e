/* Rows as figures/rows.py packs them, into arrays to draw. */
"use strict";
spi.series = {
    NOTHING: 33, FAR: 126, ZERO: 80, BACKSLASH: 92,

    /** Differences to numbers, see pack() of figures/rows.py; NaN where nothing is. */
    unpack(text, scale = 1, length = 0) {
        if (!text) return new Float64Array(length).fill(NaN);
        const [step, codes, others] = text.split(" "), far = others.split(","), values = new Float64Array(codes.length);
        const {NOTHING, FAR, ZERO, BACKSLASH} = spi.series, usual = +step;
        for (let i = 0, sum = 0, k = 0; i < codes.length; i++) {
            const code = codes.charCodeAt(i);
            if (code === NOTHING) values[i] = NaN;
            else values[i] = (sum += usual + (code === FAR ? +far[k++] : code - ZERO - (code > BACKSLASH))) / scale;
        }
        return values;
    },

    row(packed) {
        const {bucket} = packed, t = spi.series.unpack(packed.t), n = t.length;
        const unpack = (name, scale = 1) => spi.series.unpack(packed[name], scale, n);
        const row = {...packed, t, n: unpack("n"), done: unpack("done"), temp: unpack("temp", 10), hum: unpack("hum"),
            lum: unpack("lum", 10), low: unpack("min_temp", 10), high: unpack("max_temp", 10),
            insects: unpack("insects", bucket ? 10 : 1), afterGap: new Set(packed.gaps), holes: new Map(packed.holes)};
        if (packed.insects2 !== undefined)
            Object.assign(row, {insects2: unpack("insects2", bucket ? 10 : 1), done2: unpack("done2")});
        row.from = row.t.map((t) => (bucket ? Math.floor(t / bucket) * bucket : t));
        row.x = bucket ? row.from.map((t) => t + bucket / 2) : row.t;
        return row;
    },

    /** Index of the point of the range that is nearest to t, or -1. */
    nearest(row, t) {
        const x = row.x;
        if (!x.length) return -1;
        let low = row.inside[0], high = row.inside[1] - 1;
        if (low > high) return -1;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (x[middle] < t) low = middle + 1;
            else high = middle;
        }
        return low > row.inside[0] && t - x[low - 1] < x[low] - t ? low - 1 : low;
    },

    /** Where the value of a point ends. */
    until(row, i) {
        if (row.bucket) return row.from[i] + row.bucket;
        const next = i + 1 < row.t.length && !row.afterGap.has(i + 1) ? row.t[i + 1] : row.t[i] + row.cadence;
        return next;
    },

    range(rows, name) {
        let low = Infinity, high = -Infinity;
        for (const row of rows) for (const value of row[name]) {
            if (value < low) low = value;
            if (value > high) high = value;
        }
        return low <= high ? [low, high] : null;
    },

    /** A range wide enough that noise does not fill it. */
    atLeast: ([low, high], width) => (high - low >= width ? [low, high] : [low - (width - high + low) / 2, high + (width - high + low) / 2]),

    /** Common or own y scales: {temp: [low, high], insects: most, lum: [low, high]}. */
    scales(rows) {
        const {range} = spi.series;
        const temp = [range(rows, "low"), range(rows, "high"), range(rows, "temp")].filter(Boolean).flat();
        const low = Math.floor(Math.min(...temp, 5) / 5) * 5, high = Math.ceil(Math.max(...temp, low + 15) / 5) * 5;
        const counts = [range(rows, "insects"), range(rows.filter((row) => row.insects2), "insects2")].filter(Boolean).flat();
        return {temp: [low, high], insects: Math.max(5, ...counts.map((most) => most * 1.08)), lum: spi.series.atLeast(range(rows, "lum") || [0, 1], 2)};
    },
};
