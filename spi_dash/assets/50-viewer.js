/* The viewer: one frame as large as the window allows, its neighbours a key away. */
"use strict";
spi.viewer = {
    box: null, device: "", moments: [], at: 0, frame: null, playing: false, timer: 0, fromPage: false, absent: false, described: null,

    /** Open over the page on one frame; its address is its own link. */
    async open(device, t, {push = true} = {}) {
        const {viewer} = spi, box = (viewer.box ||= spi.viewerFrame.make());
        viewer.fromPage = !push;
        viewer.device = device;
        viewer.moments = [t];
        viewer.at = 0;
        viewer.absent = false;
        viewer.described = null;
        spi.moments.forget();
        spi.stage.empty();
        if (push) history.pushState({viewer: true}, "", viewer.address(t));
        if (!box.open) box.showModal();
        box.querySelector(".stage").focus();
        if (push) viewer.show(); // else the address may name no picture: the list tells
        await spi.moments.load();
        if (!push && viewer.box.open) viewer.show();
    },

    address: (t) => `/image/${encodeURIComponent(spi.viewer.device)}/${spi.time.legacy(t)}${location.search}`,

    /** Something has come: the list grows, and what is shown follows, with zoom and place kept. */
    async renew() {
        const {viewer} = spi;
        if (!viewer.box || !viewer.box.open) return;
        await spi.moments.load(spi.moments.change);
        if (viewer.absent) return;
        const t = viewer.now(), frame = await spi.frames.get(viewer.device, t);
        if (t !== viewer.now() || JSON.stringify(frame) === JSON.stringify(viewer.frame)) return;
        viewer.frame = frame;
        spi.stage.outlines(frame);
        spi.viewerFrame.describe(frame, t);
    },

    /** Seconds of a moment as addresses carry it; NaN for what no calendar or clock says, and before 1970. */
    moment(text) {
        const [, day, ...clock] = /^(\d{4}-\d\d-\d\d)[_T](\d\d)[-:](\d\d)[-:](\d\d)/.exec(text) || [];
        const t = Date.parse(`${day}T${clock.join(":")}Z`) / 1000; // the 30th of February is in March
        return t >= 0 && spi.time.legacy(t) === `${day}_${clock.join("-")}` ? t : NaN;
    },

    now: () => spi.viewer.moments[spi.viewer.at],
    neighbour: (step) => spi.viewer.moments[spi.viewer.at + step],

    close() {
        const {viewer} = spi;
        viewer.stop();
        viewer.box.close();
        if (viewer.fromPage) {
            history.pushState(null, "", `/${location.search}`);
            window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
        } else if (location.pathname.startsWith("/image/")) history.back();
    },

    step(by) {
        const {viewer} = spi, to = Math.max(0, Math.min(viewer.moments.length - 1, viewer.at + by));
        return to === viewer.at ? spi.moments.edge(Math.sign(by)) : viewer.goTo(to);
    },

    goTo(index) {
        spi.viewer.at = index;
        spi.moments.write();
        return spi.viewer.show();
    },

    /** To the first or last frame of the list. */
    end: (last) => spi.viewer.goTo(last ? spi.viewer.moments.length - 1 : 0),

    /** Thumbnail at once, outlines and details as they come, then the original. */
    async show() {
        const {viewer} = spi, {device} = viewer, t = viewer.now();
        spi.viewerFrame.place();
        if (viewer.absent) return viewer.nothing();
        const drawn = spi.stage.picture(device, t, viewer.playing);
        const frame = await spi.frames.get(device, t), other = () => t !== viewer.now() || device !== viewer.device || viewer.absent;
        if (other()) return;
        spi.viewerFrame.describe(frame, t);
        await drawn; // outlines never stand on another frame's picture
        if (other()) return;
        viewer.frame = frame;
        spi.stage.outlines(frame);
        if (!viewer.playing) viewer.near();
    },

    /** The trap has no picture at all: what cannot be there is not asked for. */
    nothing() {
        spi.stage.empty();
        spi.stage.lack("There is no picture of this trap and moment.");
        spi.viewerFrame.describe(null, spi.viewer.now());
    },

    /** Fetch the neighbours, so that a step shows them at once. */
    near() {
        const {viewer} = spi;
        for (const step of [1, -1, 2, 3, -2, 4]) {
            const t = viewer.neighbour(step);
            if (t === undefined) continue;
            spi.stage.fetch(spi.stage.url(viewer.device, t, "thumbnail"));
            spi.frames.get(viewer.device, t);
        }
    },

    play() {
        const {viewer} = spi;
        if (viewer.playing) return viewer.stop();
        if (viewer.at === viewer.moments.length - 1) viewer.at = 0;
        viewer.playing = true;
        spi.viewerFrame.place();
        viewer.next();
    },

    async next() {
        const {viewer} = spi, began = performance.now(), wanted = 1000 / spi.viewerFrame.speed();
        const t = viewer.neighbour(1);
        if (!viewer.playing || t === undefined) return viewer.stop();
        viewer.near();
        await spi.stage.fetch(spi.stage.url(viewer.device, t, "thumbnail")).ready;
        viewer.timer = setTimeout(() => {
            if (!viewer.playing) return;
            viewer.step(1);
            viewer.next();
        }, Math.max(0, wanted - performance.now() + began));
    },

    stop() {
        const {viewer} = spi, was = viewer.playing;
        viewer.playing = false;
        clearTimeout(viewer.timer);
        if (was) {
            spi.viewerFrame.place();
            viewer.show();
        }
    },

    KEYS: {
        ArrowRight: (shift) => spi.viewer.step(shift ? 10 : 1),
        ArrowLeft: (shift) => spi.viewer.step(shift ? -10 : -1),
        Home: () => spi.viewer.end(0),
        End: () => spi.viewer.end(1),
        " ": () => spi.viewer.play(),
        c: () => spi.viewerFrame.toggle("outlines"),
        v: () => spi.viewerFrame.toggle("second"),
        b: () => spi.viewerFrame.toggle("compare"),
        i: () => spi.viewerFrame.toggle("details"),
        "+": () => spi.stage.zoomBy(1.5),
        "=": () => spi.stage.zoomBy(1.5),
        "-": () => spi.stage.zoomBy(1 / 1.5),
        0: () => spi.stage.reset(),
    },

    key(event) {
        if (!spi.viewer.box || !spi.viewer.box.open || event.ctrlKey || event.metaKey || event.altKey) return;
        const action = spi.viewer.KEYS[event.key];
        const own = event.target.matches("select, .split-slider") && event.key !== "Escape"; // which have keys themselves
        if (!action || own) return;
        if (event.key === " " && event.target.matches("button, a")) spi.viewer.box.querySelector(".stage").focus();
        event.preventDefault();
        event.stopPropagation();
        action(event.shiftKey);
    },
};

document.addEventListener("keydown", spi.viewer.key, true);

dash_clientside.viewer = {
    open_link(key) {
        const t = key ? spi.viewer.moment(key.taken_at || "") : NaN;
        if (t === t) spi.viewer.open(key.device, t, {push: false});
        else if (key && key.device) spi.toast.show("This link names no picture. Check it, or open Explore.");
        return dash_clientside.no_update;
    },
};

window.addEventListener("popstate", () => {
    const {viewer} = spi;
    if (viewer.box && viewer.box.open && !location.pathname.startsWith("/image/")) {
        viewer.stop();
        viewer.box.close();
    }
});
