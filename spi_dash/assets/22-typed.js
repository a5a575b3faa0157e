/* Dates as they are typed: "2020-06-01 to 2020-06-20", "2020-06", "last 3 days", "24 h". */
"use strict";
spi.typed = {
    EXAMPLES: "write 2020-06-01 to 2020-06-20, 2020-06-01, last 3 days or 24 h",
    UNITS: {h: "h", hr: "h", hrs: "h", hour: "h", hours: "h", d: "d", day: "d", days: "d", w: "w", wk: "w", week: "w", weeks: "w"},
    LONGEST: 9999, // hours or days: the address takes no more digits

    /** What the address says then: {start, end}. Throws a sentence for the reader. */
    parse(text, now = Date.now() / 1000) {
        const words = text.trim().toLowerCase().replace(/\s+/g, " ").replace(/[\u2010-\u2012\u2212]/g, "-");
        const today = spi.time.day(now), one = words.match(/^since (.+)$/);
        if (["season", "all"].includes(words)) return {start: words, end: ""};
        if (words === "today" || words === "yesterday") return spi.typed.range(spi.typed.period(words, today));
        if (one) return {start: spi.typed.address(spi.typed.period(one[1], today).start), end: ""};
        const ago = words.match(/^(?:last |past |-)?(\d*) ?([a-z]+)$/);
        if (ago && spi.typed.UNITS[ago[2]] && words !== ago[2]) return spi.typed.last(ago[1] || "1", spi.typed.UNITS[ago[2]]);
        const ends = words.split(/ ?(?: to | until | till | - |\u2013|\u2014|\.\.\.?) ?/);
        if (ends.length > 2) throw `A range has two ends: ${spi.typed.EXAMPLES}.`;
        if (ends.length === 1) return spi.typed.range(spi.typed.period(words, today));
        if (ends[1] === "now") return {start: spi.typed.address(spi.typed.period(ends[0], today).start), end: ""};
        const clock = /^\d\d?:\d\d$/.test(ends[1]); // "2020-06-01 14:00 to 16:00"
        const to = spi.typed.period(clock ? `${ends[0].slice(0, 10)} ${ends[1]}` : ends[1], today);
        return spi.typed.range({start: spi.typed.period(ends[0], today).start, end: to.end});
    },

    last(count, unit) {
        const n = Number(count) * (unit === "w" ? 7 : 1);
        if (n < 1 || n > spi.typed.LONGEST) throw `Choose from 1 to ${spi.typed.LONGEST} ${unit === "h" ? "hours" : "days"}.`;
        return {start: `-${n}${unit === "h" ? "h" : "d"}`, end: ""};
    },

    /** A year, month, day or minute, as clocks show it: {start, end}, seconds as if they showed UTC. */
    period(text, today) {
        const midnight = Date.parse(`${today}T00:00:00Z`) / 1000;
        if (text === "today" || text === "yesterday") {
            const start = midnight - (text === "today" ? 0 : 86400);
            return {start, end: start + 86400, exact: false};
        }
        const found = text.match(/^(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[ t](\d\d?):(\d\d))?)?)?$/);
        if (!found) throw `\u201c${text.slice(0, 40)}\u201d is not a date: ${spi.typed.EXAMPLES}.`;
        const [year, month, day, hour, minute] = found.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
        const at = (y, m = 1, d = 1) => Date.UTC(y, m - 1, d, hour || 0, minute || 0) / 1000;
        const start = at(year, month, day), shown = new Date(start * 1000);
        if (shown.getUTCMonth() + 1 !== (month ?? 1) || shown.getUTCDate() !== (day ?? 1) || hour > 23 || minute > 59)
            throw `There is no ${text}.`;
        if (year < 1970 || year > 2199) throw "Choose dates from 1970 to 2199.";
        if (hour !== undefined) return {start, end: start, exact: true};
        return {start, end: day ? at(year, month, day + 1) : month ? at(year, month + 1) : at(year + 1), exact: false};
    },

    range({start, end, exact}) {
        if (exact) throw "Say until when: write 2020-06-01 14:00 to 16:00.";
        if (end <= start) throw "The range ends before it starts.";
        return {start: spi.typed.address(start), end: spi.typed.address(end)};
    },

    address: (local) => spi.time.text(spi.time.moment(local)),

    field: () => document.querySelector(".typed input"),

    /** The sentence below the field; the text stays for mending. */
    say(problem) {
        const box = document.getElementById("shell-typed-problem"), field = spi.typed.field();
        box.textContent = problem;
        field.setAttribute("aria-describedby", "shell-typed-problem");
        problem ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
    },

    use(text) {
        if (!text.trim()) return;
        if (!spi.scope.resolved) return spi.typed.say("The page is still loading: press Enter again.");
        try {
            spi.scope.go(spi.typed.parse(text));
        } catch (problem) {
            if (typeof problem !== "string") throw problem;
            return spi.typed.say(problem);
        }
        spi.typed.clear();
    },

    clear() {
        spi.typed.say("");
        // As if somebody had deleted it: the component keeps what is typed to itself, and may not hear of a property.
        const field = spi.typed.field();
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, "");
        field.dispatchEvent(new Event("input", {bubbles: true}));
    },
};

document.addEventListener("keydown", (event) => {
    if (!event.target.matches(".typed input") || event.isComposing) return;
    if (event.key === "Enter") spi.typed.use(event.target.value);
    if (event.key === "Escape") spi.typed.clear();
});
document.addEventListener("input", (event) => {
    if (event.target.matches(".typed input")) spi.typed.say("");
});
