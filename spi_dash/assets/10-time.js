/* Moments (UNIX seconds) in the zone that the reader chose; everything in between stays UTC. */
"use strict";
spi.time = {
    zone: "site",
    site: "UTC", // the sites' zone, as IANA calls it
    clocks: new Map(), // formatters by zone
    offsets: new Map(), // seconds by zone and quarter of an hour: clocks change at no other time

    /** As the server resolved a scope: {zone, site}. */
    use({zone, site}) {
        Object.assign(spi.time, {zone, site: site || "UTC"});
    },

    /** Seconds by which the chosen zone is ahead of UTC at a moment. */
    offset(t) {
        if (spi.time.zone === "utc") return 0;
        return spi.time.zone === "site" ? spi.time.east(spi.time.site, t) : -60 * new Date(t * 1000).getTimezoneOffset();
    },

    east(zone, t) {
        const quarter = Math.floor(t / 900), key = `${zone} ${quarter}`;
        if (!spi.time.offsets.has(key)) {
            const parts = Object.fromEntries(spi.time.clockOf(zone).formatToParts(quarter * 900_000).map(({type, value}) => [type, Number(value)]));
            const shown = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) / 1000;
            spi.time.offsets.set(key, shown - quarter * 900);
        }
        return spi.time.offsets.get(key);
    },

    clockOf(zone) {
        if (!spi.time.clocks.has(zone)) {
            const parts = {year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric"};
            spi.time.clocks.set(zone, new Intl.DateTimeFormat("en-US", {...parts, timeZone: zone, hourCycle: "h23"}));
        }
        return spi.time.clocks.get(zone);
    },

    /** As printed beside times: "UTC−7". */
    label: (t) => spi.time.name([spi.time.offset(t)]),

    /** As printed beside an axis: "UTC−8/−7" where clocks change in between. */
    labels(start, end) {
        const offsets = new Set();
        const step = (end - start > 366 * 86400 ? 91 : 7) * 86400; // all of a year's clocks in a few looks
        for (let t = start; t < end; t += step) offsets.add(spi.time.offset(t));
        return spi.time.name([...offsets.add(spi.time.offset(end - 1))]);
    },

    name(offsets) {
        const parts = offsets.map((seconds) => {
            const minutes = Math.round(Math.abs(seconds) / 60), rest = minutes % 60;
            return `${seconds < 0 ? "−" : "+"}${Math.floor(minutes / 60)}${rest ? ":" + String(rest).padStart(2, "0") : ""}`;
        });
        return parts.join() === "+0" ? "UTC" : `UTC${parts.join("/")}`;
    },

    /** When clocks show this (seconds, as if they showed UTC): the first time of two; where they skip it, just after. */
    moment(local) {
        const before = spi.time.offset(local - 86400), after = spi.time.offset(local + 86400);
        const found = [local - before, local - after].filter((t) => t + spi.time.offset(t) === local);
        return found.length ? Math.min(...found) : local - before;
    },

    /** A Date whose UTC fields are those of the zone. */
    shifted: (t) => new Date((t + spi.time.offset(t)) * 1000),
    day: (t) => spi.time.shifted(t).toISOString().slice(0, 10),
    clock: (t) => spi.time.shifted(t).toISOString().slice(11, 16),
    stamp: (t) => `${spi.time.day(t)} ${spi.time.clock(t)}`,
    weekday: (t) => spi.time.format(t, {weekday: "short", day: "numeric", month: "short"}),
    format: (t, parts) => spi.time.shifted(t).toLocaleDateString("en-GB", {...parts, timeZone: "UTC"}).replace(",", ""),

    /** Days that the server left open, because only the browser knows the reader's zone; once they are in the page. */
    sayDays: () => requestAnimationFrame(() => {
        for (const day of document.querySelectorAll("[data-day]"))
            day.textContent = `${spi.time.format(+day.dataset.day, {day: "numeric", month: "short", year: "numeric"})} (${spi.time.label(+day.dataset.day)})`;
    }),

    /** Midnight of a day ("2020-06-20") in the zone. */
    midnight: (day) => spi.time.moment(Date.parse(`${day}T00:00:00Z`) / 1000),

    /** As addresses carry it. */
    text: (t) => new Date(t * 1000).toISOString().slice(0, 16) + "Z",
    /** As file names carry it. */
    legacy: (t) => new Date(t * 1000).toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-"),

    ago(seconds) {
        if (seconds < 90) return "just now";
        if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
        if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
        return `${Math.round(seconds / 86400)} d`;
    },

    STEPS: [300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600],

    /** Ticks of an axis: [{t, text, strong}], at most one per `every` pixels. */
    ticks(start, end, width, every = 84) {
        const wanted = ((end - start) / width) * every;
        const step = spi.time.STEPS.find((each) => each >= wanted);
        if (!step) return spi.time.monthTicks(start, end, wanted);
        const ticks = [], monday = step % 604800 === 0 ? 4 * 86400 : 0;
        let local = Math.ceil((start + spi.time.offset(start) - monday) / step) * step + monday;
        for (let t = spi.time.moment(local); t < end; local += step, t = spi.time.moment(local)) {
            const midnight = local % 86400 === 0, skipped = t + spi.time.offset(t) !== local;
            if (t < start || (skipped && !midnight)) continue;
            const text = midnight ? (width < 500 ? spi.time.format(t, {day: "numeric", month: "short"}) : spi.time.weekday(t))
                : spi.time.clock(t);
            ticks.push({t, text, strong: midnight});
        }
        return ticks;
    },

    monthTicks(start, end, wanted) {
        const months = [1, 2, 3, 6, 12, 24, 60].find((each) => each * 2629800 >= wanted) || 120;
        const ticks = [], first = spi.time.shifted(start);
        for (let month = Math.ceil(first.getUTCMonth() / months) * months; ticks.length < 100; month += months) {
            const t = spi.time.moment(Date.UTC(first.getUTCFullYear(), month, 1) / 1000);
            if (t >= end) break;
            if (t >= start) ticks.push({t, text: spi.time.format(t, {month: "short", year: "numeric"}), strong: true});
        }
        return ticks;
    },
};

spi.number = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
