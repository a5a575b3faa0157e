/* While the server cannot work: one line says so, what the page needs is asked for again, and nobody has to reload. */
"use strict";
spi.outage = {
    FIRST_MS: 3000, LONGEST_MS: 30_000, HELD: /^\/_dash-(layout|dependencies|update-component)$/,
    ACTION: /"changedPropIds":\["[^"]*-(request|naming)\.data"/,
    LOST: "The server does not answer", over: null, failed: new Set(),

    words({message = ""} = {}) {
        if (message.includes("storage")) return "The server cannot reach its file storage";
        if (message.includes("database")) return "The server cannot reach its database";
        return message.includes("updated") ? "The server is starting or being updated" : spi.outage.LOST;
    },

    /** Show the line, and ask an address until it answers again; the promise is kept when it does. */
    begin(text, probe = "/frames/change.json") {
        const {outage} = spi;
        outage.box ||= document.body.appendChild(spi.make("div.outage", {role: "status"}));
        (document.querySelector("dialog[open]") || document.body).append(outage.box); // above what is open
        if (outage.box.textContent !== `${text}. Trying again.`) outage.box.textContent = `${text}. Trying again.`;
        outage.box.hidden = false;
        outage.probe = probe;
        return (outage.over ||= new Promise((resolve) => {
            outage.resolve = resolve;
            outage.wait = outage.FIRST_MS;
            outage.timer = setTimeout(outage.look, outage.wait);
        }));
    },

    async look() {
        const {outage} = spi;
        clearTimeout(outage.timer);
        if (!outage.over) return;
        if (!document.hidden && (await outage.answers())) return outage.end();
        outage.wait = Math.min(outage.LONGEST_MS, outage.wait * 1.3);
        outage.timer = setTimeout(outage.look, outage.wait * (0.8 + 0.4 * Math.random()));
    },

    async answers() {
        try {
            return (await spi.fetchAsIs(spi.outage.probe, {method: "HEAD", cache: "no-store", redirect: "manual"})).status < 500;
        } catch {
            return false;
        }
    },

    end() {
        const {outage} = spi, {resolve} = outage, images = [...outage.failed];
        outage.over = null;
        outage.box.hidden = true;
        outage.failed.clear();
        resolve();
        for (const image of images) image.src = image.src; // asks again
        spi.frames.forget();
        spi.stage.forgetBroken();
        if (spi.viewer.box && spi.viewer.box.open) spi.moments.load().then(spi.viewer.show);
        spi.live.ask();
    },

    /** A picture did not come: if the server says that it cannot have it now, it is asked for again later. */
    async missed(image) {
        const path = new URL(image.src, location.href).pathname;
        if (!image.src.startsWith(location.origin) || spi.outage.failed.has(image)) return;
        try {
            const answer = await spi.fetchAsIs(path, {cache: "no-store", redirect: "manual"});
            if (answer.status !== 503) return;
            spi.outage.failed.add(image);
            spi.outage.begin(spi.outage.words((await answer.json().catch(() => ({}))).error), path);
        } catch { /* the line is there already, or comes with the next request */ }
    },

    /** What was asked to be done is not done later, when nobody expects it. */
    refuse(text) {
        const sure = /its (database|file storage)$/.test(text); // else it may have been done before the connection broke
        const error = `${text}. ${sure ? "Nothing was changed." : "Reload the page to see whether it was done."}`;
        for (const answer of [...spi.settings.waiting.values()]) answer({error, field: ""});
        spi.settings.waiting.clear();
    },
};

spi.fetchAsIs = window.fetch;
window.fetch = async (what, options = {}) => {
    const {outage} = spi, path = new URL(what.url || what, location.href).pathname, held = outage.HELD.test(path);
    for (;;) {
        let text = outage.LOST, response = null;
        try {
            response = await spi.fetchAsIs(what, options);
            if (response.status !== 503 || !response.url.startsWith(location.origin)) return response;
            text = outage.words((await response.clone().json().catch(() => ({}))).error);
        } catch (error) {
            if (!held || error.name === "AbortError") throw error;
        }
        const over = outage.begin(text);
        const action = held && outage.ACTION.test(options.body || "");
        if (!held) return response;
        if (action) {
            outage.refuse(text);
            return new Response(null, {status: 204}); // Dash has nothing to update
        }
        await over;
    }
};
document.addEventListener("visibilitychange", spi.outage.look);
document.addEventListener("error", (event) => event.target.tagName === "IMG" && spi.outage.missed(event.target), true);
