/* New pictures, detections, tuboids and labels: one small answer says whether there are any; only what changed comes again. */
"use strict";
spi.live = {
    EVERY_MS: 5000, change: 0, failures: 0,

    async ask() {
        if (document.hidden || spi.session.leaving) return;
        try {
            const response = await fetch("/frames/change.json", {cache: "no-store"});
            if (!response.ok) throw new Error(response.status);
            const {change, tuboids} = await response.json();
            spi.live.failures = 0;
            spi.live.say("live", `updated ${new Date().toTimeString().slice(0, 5)}`);
            const held = spi.explore.data && spi.explore.root() ? spi.explore.data.change : spi.live.change;
            const films = spi.tuboids.here() && spi.tuboids.change !== null && tuboids > spi.tuboids.change;
            if ((held && change > held) || films) spi.scope.tell({since: held || 1});
            if (spi.live.change && change > spi.live.change) {
                spi.frames.forget();
                spi.viewer.renew();
            }
            spi.live.change = change;
        } catch {
            spi.live.failures++;
            if (spi.live.failures > 1) spi.live.say("lost", "no connection, trying again");
        }
    },

    say(state, text) {
        const box = document.getElementById("shell-live");
        if (!box) return;
        box.dataset.state = state;
        const words = box.querySelector(".live-text");
        if (words.textContent !== text) words.textContent = text;
    },
};
setInterval(spi.live.ask, spi.live.EVERY_MS);
document.addEventListener("visibilitychange", spi.live.ask);
setTimeout(spi.live.ask, 1500);
