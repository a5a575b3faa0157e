/* While Explore waits for other dates: what is going on, and the way back to what was shown. */
"use strict";
spi.loading = {
    box: null,

    /** Styles show it after a moment, and only on Explore. */
    begin() {
        spi.loading.box ||= spi.loading.make();
        spi.loading.box.querySelector("button").hidden = !spi.explore.data;
        document.body.classList.add("is-loading");
    },

    end: () => document.body.classList.remove("is-loading"),

    make() {
        const button = spi.make("button.outline", {type: "button"}, "Cancel (Esc)");
        button.addEventListener("click", spi.loading.cancel);
        const box = spi.make("div.loading", {role: "status"}, [spi.make("span", {}, "Loading these dates"), button]);
        document.body.append(box);
        return box;
    },

    waits: () => document.body.classList.contains("is-loading") && Boolean(spi.explore.data && spi.explore.root()),

    /** What is on its way is for nobody: Dash drops the answers to questions that were asked again. */
    cancel() {
        const {data} = spi.explore;
        if (!spi.loading.waits()) return;
        spi.pointer.forget();
        history.replaceState(null, "", location.pathname + data.search);
        spi.scope.shown = data.search;
        dash_clientside.set_props("shell-scope", {data: {search: data.search}});
        spi.explore.show(data.start, data.end);
        spi.loading.end();
    },
};

document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) spi.loading.cancel();
});
