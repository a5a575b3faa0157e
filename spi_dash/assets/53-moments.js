/* The frames that the scrubber spans: those of the trap in the page's dates, or around a frame beside them. */
"use strict";
spi.moments = {
    ready: false, outside: false, change: 0, turn: 0, resting: 0, scrubbing: false, loading: false, writing: 0, wrote: 0,

    /** Another viewer: nothing is known yet. */
    forget: () => Object.assign(spi.moments, {ready: false, outside: false, change: 0}),

    /** The list for the frame that is shown; with `since`, only if this trap has changed after that. */
    async load(since = 0) {
        const {viewer, moments} = spi, turn = ++moments.turn, query = new URLSearchParams(location.search);
        query.set("around", viewer.now());
        if (since) query.set("since", since);
        const found = await moments.fetch(`/frames/${encodeURIComponent(viewer.device)}/list.json?${query}`);
        if (!found || turn !== moments.turn) return;
        Object.assign(moments, {ready: true, outside: found.outside, change: found.change});
        if (found.moments !== null) moments.take(spi.series.unpack(found.moments));
    },

    async fetch(url) {
        const response = await fetch(url, {cache: "no-cache"}).catch(() => null);
        if (response && response.ok) return response.json();
        if (response && response.status === 503) return null; // said already, and asked for again
        const told = response && (await response.json().catch(() => null));
        if (response && response.status === 404) return spi.moments.leave();
        spi.toast.show((told && told.error && told.error.message) || "The list of pictures could not be loaded. Please try again.");
        return null;
    },

    /** The project is not there for the reader, or no more: the page below says so. */
    leave() {
        spi.viewer.close();
        spi.scope.shown = null;
        spi.scope.tell();
        return null;
    },

    /** What is shown stays; where there is no such frame any more, or never was, the nearest one comes. */
    take(list) {
        const {viewer} = spi, now = viewer.now(), absent = viewer.absent;
        viewer.absent = !list.length; // of the trap: else the list holds the nearest one at least
        if (viewer.absent) return viewer.show();
        viewer.moments = list;
        viewer.at = spi.series.nearest({x: list, inside: [0, list.length]}, now);
        if (viewer.now() !== now) {
            spi.toast.show("There is no picture at this moment. This is the nearest one.", "", "quiet");
            viewer.goTo(viewer.at);
        } else if (absent) viewer.show(); // it has come
        viewer.near();
        spi.viewerFrame.place();
    },

    /** At an end of the list: it goes on only where it is a window around a frame beside the page's dates. */
    async edge(by) {
        const {viewer, moments} = spi, now = viewer.now();
        if (!moments.ready || viewer.absent) return;
        if (moments.outside && !moments.loading) {
            moments.loading = true;
            await moments.load();
            moments.loading = false;
            if (viewer.now() === now && viewer.neighbour(by) !== undefined) return viewer.goTo(viewer.at + by);
        }
        spi.toast.show(`This is the ${by < 0 ? "first" : "last"} picture of these dates.`, "", "quiet");
    },

    /** While the scrubber is drawn along, the pictures that come in time; the rest where it rests. */
    async scrub(index) {
        const {viewer, moments} = spi;
        viewer.at = index;
        spi.viewerFrame.place();
        clearTimeout(moments.resting);
        moments.resting = setTimeout(() => viewer.box.open && viewer.goTo(viewer.at), 120);
        if (moments.scrubbing) return;
        moments.scrubbing = true;
        for (let shown = NaN; shown !== viewer.now(); ) {
            shown = viewer.now();
            await spi.stage.picture(viewer.device, shown, true);
        }
        moments.scrubbing = false;
    },

    /** The address follows at rest: browsers refuse hundreds of changes, as playing would make them. */
    write() {
        const {viewer, moments} = spi, wait = Math.max(0, 300 - (performance.now() - moments.wrote));
        clearTimeout(moments.writing);
        moments.writing = setTimeout(() => {
            if (!viewer.box.open || !location.pathname.startsWith("/image/")) return;
            moments.wrote = performance.now();
            history.replaceState(history.state, "", viewer.address(viewer.now()));
        }, wait);
    },
};
