/* Files come by fetch: how far they are is shown, and they can be stopped. A file that breaks off is never half a file. */
"use strict";
spi.downloads = {
    PIECE: 4 << 20, // bytes that are held in memory before the browser may put them aside
    EVERY_MS: 100,
    NEWLINE: 10,
    running: new Set(),

    /** Take a file: {name, rows}; `rows` are those of the table, null where the file has no lines to count. */
    async take(url, {name, rows}) {
        const control = new AbortController(), box = spi.downloads.show(name, control);
        spi.downloads.running.add(control);
        try {
            const answer = await fetch(url, {signal: control.signal, headers: {Accept: "application/json"}});
            if (!answer.ok) throw Object.assign(new Error(await spi.downloads.reason(answer)), {said: true});
            const file = await spi.downloads.read(answer, (bytes, lines) => box.tell(bytes, rows ? (lines - 1) / rows : null));
            spi.downloads.keep(file, spi.downloads.nameOf(answer, name));
            spi.toast.show(`${name}: ${spi.downloads.size(file.size)} downloaded.`, "", "quiet");
        } catch (problem) {
            if (control.signal.aborted) spi.toast.show(`${name}: the download was cancelled.`, "", "quiet");
            else if (problem.said) spi.toast.show(problem.message);
            else spi.toast.show(`${name}: the download broke off. Try again.`);
        } finally {
            spi.downloads.running.delete(control);
            box.remove();
        }
    },

    /** The whole body; `tell(bytes, lines)` hears of it now and then. */
    async read(answer, tell) {
        const reader = answer.body.getReader(), blobs = [];
        let held = [], heldBytes = 0, bytes = 0, lines = 0, told = 0;
        for (let {done, value} = await reader.read(); !done; {done, value} = await reader.read()) {
            held.push(value);
            heldBytes += value.length;
            bytes += value.length;
            for (let at = value.indexOf(spi.downloads.NEWLINE); at >= 0; at = value.indexOf(spi.downloads.NEWLINE, at + 1)) lines++;
            if (heldBytes > spi.downloads.PIECE) {
                blobs.push(new Blob(held));
                [held, heldBytes] = [[], 0];
            }
            if (performance.now() - told < spi.downloads.EVERY_MS) continue;
            told = performance.now();
            tell(bytes, lines);
        }
        return new Blob([...blobs, ...held], {type: answer.headers.get("Content-Type") || ""});
    },

    async reason(answer) {
        const body = await answer.json().catch(() => null), words = body && body.error ? body.error.message : "";
        return words ? `${words[0].toUpperCase()}${words.slice(1)}.` : `The server answered ${answer.status}.`;
    },

    nameOf(answer, name) {
        const found = (answer.headers.get("Content-Disposition") || "").match(/filename="([^"]+)"/);
        return found ? found[1] : name;
    },

    /** Into the reader's folder of downloads. */
    keep(file, name) {
        const url = URL.createObjectURL(file), link = spi.make("a", {href: url, download: name});
        link.click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
    },

    size(bytes) {
        if (bytes < 1000) return `${bytes} B`;
        return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
    },

    /** A line of what is under way, over every page. */
    show(name, control) {
        const words = spi.make("span.taking-words", {}, `${name}: being made`), bar = spi.make("progress", {max: 1, "aria-label": `Download of ${name}`});
        const stop = spi.make("button.outline", {type: "button", "aria-label": `Cancel ${name}`}, "Cancel");
        const box = spi.make("div.taking", {role: "group", "aria-label": name}, [words, bar, stop]);
        stop.addEventListener("click", () => {
            control.abort();
            (document.querySelector(".downloads-menu summary") || document.getElementById("page")).focus();
        });
        spi.downloads.list().append(box);
        return {
            remove: () => box.remove(),
            tell(bytes, part) {
                const share = part === null ? null : Math.min(1, Math.max(0, part));
                words.textContent = `${name}: ${spi.downloads.size(bytes)}${share === null ? "" : `, ${Math.floor(share * 100)} %`}`;
                if (share !== null) bar.value = share;
            },
        };
    },

    list() {
        const found = document.querySelector(".takings");
        if (found) return found;
        const list = spi.make("section.takings", {"aria-label": "Downloads"});
        document.body.append(list);
        return list;
    },
};

/* Who leaves the site, loses what is under way: the browser asks. */
window.addEventListener("beforeunload", (event) => {
    if (spi.downloads.running.size && !spi.session.leaving) event.preventDefault();
});
