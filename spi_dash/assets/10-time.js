/* Moments (UNIX seconds) in the zone that the reader chose; everything in between stays UTC. */
"use strict";
spi.time = {
    zone: "site",
    siteOffset: 0,

    offset(t) {
        if (spi.time.zone === "utc") return 0;
        return spi.time.zone === "site" ? spi.time.siteOffset : -60 * new Date(t * 1000).getTimezoneOffset();
    },

    /** As printed beside times: "UTC−7". */
    label(t) {
        const minutes = Math.round(spi.time.offset(t) / 60);
        if (!minutes) return "UTC";
        const sign = minutes < 0 ? "−" : "+", rest = Math.abs(minutes) % 60;
        return `UTC${sign}${Math.floor(Math.abs(minutes) / 60)}${rest ? ":" + String(rest).padStart(2, "0") : ""}`;
    },

    /** A Date whose UTC fields are those of the zone. */
    shifted: (t) => new Date((t + spi.time.offset(t)) * 1000),
    day: (t) => spi.time.shifted(t).toISOString().slice(0, 10),
    clock: (t) => spi.time.shifted(t).toISOString().slice(11, 16),
    stamp: (t) => `${spi.time.day(t)} ${spi.time.clock(t)}`,
    weekday: (t) => spi.time.format(t, {weekday: "short", day: "numeric", month: "short"}),
    format: (t, parts) => spi.time.shifted(t).toLocaleDateString("en-GB", {...parts, timeZone: "UTC"}).replace(",", ""),

    /** Midnight of a day ("2020-06-20") in the zone. */
    midnight(day) {
        const utc = Date.parse(`${day}T00:00:00Z`) / 1000;
        return utc - spi.time.offset(utc - spi.time.offset(utc));
    },

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
        const ticks = [];
        const zone = spi.time.offset(start), monday = step % 604800 === 0 ? 4 * 86400 : 0;
        for (let t = Math.ceil((start + zone - monday) / step) * step + monday - zone; t < end; t += step) {
            const midnight = (t + zone) % 86400 === 0;
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
            const utc = Date.UTC(first.getUTCFullYear(), month, 1) / 1000, t = utc - spi.time.offset(utc);
            if (t >= end) break;
            if (t >= start) ticks.push({t, text: spi.time.format(t, {month: "short", year: "numeric"}), strong: true});
        }
        return ticks;
    },
};

spi.number = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
