/* The picture of the viewer: sharpness, zoom and pan, outlines, the frame before. */
"use strict";
spi.stage = {
    kept: new Map(), scale: 1, x: 0, y: 0, left: 0, top: 0, fit: 1, NONE: [4, 3], size: null, timer: 0, sharpAfterMs: 160,
    TAP_PX: 8, REACH_PX: 14, // how far a finger that only taps may slip, and miss an outline

    url: (device, t, size) => `/frames/${encodeURIComponent(device)}/${t}/${size}.jpg`,

    /** An Image that is loaded, or on its way: kept, so that a step needs no network. */
    fetch(url) {
        let image = spi.stage.kept.get(url);
        if (image) return image;
        image = new Image();
        image.ready = new Promise((done) => {
            image.onload = done;
            image.onerror = () => { spi.outage.missed(image); done(); };
        });
        image.src = url;
        spi.stage.kept.set(url, image);
        if (spi.stage.kept.size > 120) spi.stage.kept.delete(spi.stage.kept.keys().next().value);
        return image;
    },

    /** Those that could not be had may be there now. */
    forgetBroken() {
        for (const [url, image] of spi.stage.kept) if (!image.naturalWidth) spi.stage.kept.delete(url);
    },

    async picture(device, t, fast) {
        const {stage} = spi, img = stage.part("img.now"), url = stage.url(device, t, "thumbnail");
        const small = stage.fetch(url);
        stage.wanted = url;
        clearTimeout(stage.timer);
        if (!small.complete) await small.ready;
        if (stage.wanted !== url) return;
        if (stage.shown !== url) stage.outlines(spi.viewer.frame = null);
        stage.shown = url;
        if (small.naturalWidth) {
            img.src = url;
            img.classList.remove("missing");
        } else stage.lack("The file of this picture is not on the server, or could not be loaded.");
        if (!fast) stage.timer = setTimeout(() => stage.sharpen(device, t, url), stage.sharpAfterMs);
        stage.before();
    },

    /** Words in the place of a picture. */
    lack(text) {
        const img = spi.stage.part("img.now");
        img.removeAttribute("src");
        img.classList.add("missing");
        spi.stage.part(".no-picture").textContent = text;
    },

    async sharpen(device, t, url) {
        const sharp = spi.stage.fetch(spi.stage.url(device, t, "original"));
        await sharp.ready;
        if (spi.stage.wanted === url && sharp.naturalWidth) spi.stage.part("img.now").src = sharp.src;
    },

    /** The frame before, for the slider. */
    before() {
        const t = spi.viewer.neighbour(-1), img = spi.stage.part("img.before");
        if (spi.viewer.box.dataset.compare === "on" && t !== undefined) img.src = spi.stage.url(spi.viewer.device, t, "thumbnail");
        img.hidden = t === undefined;
    },

    part: (selector) => spi.viewer.box.querySelector(`.stage ${selector}`),

    outlines(frame) {
        spi.stage.mark(-1);
        if (frame) spi.stage.size = [frame.width, frame.height];
        spi.stage.place();
        spi.overlay.draw();
    },

    /** Nothing of the frame that was open before. */
    empty() {
        const {stage} = spi, img = stage.part("img.now");
        clearTimeout(stage.timer);
        stage.shown = stage.wanted = "";
        img.removeAttribute("src");
        img.classList.remove("missing");
        stage.outlines(spi.viewer.frame = null);
        stage.reset();
    },

    reset() {
        Object.assign(spi.stage, {scale: 1, x: 0, y: 0});
        spi.stage.place();
    },

    /** Fit times scale; x and y are the offset of the middle, in pixels of the window. */
    place() {
        const {stage} = spi, outer = spi.viewer.box.querySelector(".stage"), [w, h] = (stage.size ||= stage.NONE);
        const fit = Math.min(outer.clientWidth / w, outer.clientHeight / h) || 0.1;
        const width = w * fit * stage.scale, height = h * fit * stage.scale;
        const free = [Math.max(0, (width - outer.clientWidth) / 2), Math.max(0, (height - outer.clientHeight) / 2)];
        stage.x = Math.max(-free[0], Math.min(free[0], stage.x));
        stage.y = Math.max(-free[1], Math.min(free[1], stage.y));
        stage.fit = fit;
        stage.left = (outer.clientWidth - width) / 2 + stage.x;
        stage.top = (outer.clientHeight - height) / 2 + stage.y;
        Object.assign(spi.stage.part(".picture").style, {width: `${width}px`, height: `${height}px`,
            transform: `translate(${stage.left}px, ${stage.top}px)`});
        spi.overlay.place({x: stage.left, y: stage.top, scale: fit * stage.scale});
        stage.split();
        outer.classList.toggle("pixels", fit * stage.scale * devicePixelRatio > 2);
        const known = stage.size !== stage.NONE;
        spi.viewer.box.querySelector(".zoom-text").textContent = known ? `${Math.round(fit * stage.scale * 100)} %` : "";
    },

    /** Before and after meet below the slider's knob, however the picture is zoomed. */
    split() {
        const {box} = spi.viewer, outer = box.querySelector(".stage"), picture = spi.stage.part(".picture");
        const at = (box.querySelector(".split-slider").value / 100) * outer.clientWidth - spi.stage.left;
        box.style.setProperty("--split", `${Math.max(0, Math.min(100, (100 * at) / parseFloat(picture.style.width)))}%`);
    },

    zoomBy(factor, atX = 0, atY = 0) {
        const {stage} = spi, most = 8 / stage.fit, scale = Math.max(1, Math.min(most, stage.scale * factor));
        const by = scale / stage.scale;
        stage.x = atX - (atX - stage.x) * by;
        stage.y = atY - (atY - stage.y) * by;
        stage.scale = scale;
        stage.place();
    },

    /** Where the pointer is, from the middle of the stage. */
    middle(event) {
        const box = spi.viewer.box.querySelector(".stage").getBoundingClientRect();
        return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    },

    listen(outer) {
        const {stage} = spi, pointers = new Map();
        let down = null; // where one finger, or the mouse, came down
        outer.addEventListener("wheel", (event) => {
            event.preventDefault();
            stage.zoomBy(Math.exp(-event.deltaY / 300), ...stage.middle(event));
        }, {passive: false});
        outer.addEventListener("dblclick", (event) =>
            stage.scale > 1.01 ? stage.reset() : stage.zoomBy(1 / stage.fit, ...stage.middle(event)));
        outer.addEventListener("pointerdown", (event) => {
            outer.setPointerCapture(event.pointerId);
            down = pointers.size ? null : event;
            pointers.set(event.pointerId, event);
        });
        outer.addEventListener("pointerup", (event) => stage.tap(down, event));
        for (const end of ["pointerup", "pointercancel"]) outer.addEventListener(end, (event) => pointers.delete(event.pointerId));
        outer.addEventListener("pointermove", (event) => {
            const was = pointers.get(event.pointerId);
            if (!was) return stage.hover(event);
            const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
            if (other) {
                const far = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
                stage.zoomBy(far(event) / far(was), ...stage.middle(other));
            } else {
                stage.x += event.clientX - was.clientX;
                stage.y += event.clientY - was.clientY;
                stage.place();
            }
            pointers.set(event.pointerId, event);
        });
        new ResizeObserver(() => {
            stage.place();
            spi.overlay.draw();
        }).observe(outer);
    },

    /** A finger hovers nowhere: what it taps is pointed at. */
    tap(down, event) {
        if (event.pointerType === "mouse" || !down) return;
        const slipped = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
        if (slipped < spi.stage.TAP_PX) spi.stage.hover(event, spi.stage.REACH_PX);
    },

    /** The outline under the pointer, or within its reach: drawn stronger, with number, area, class. */
    hover(event, reach = 0) {
        const {stage} = spi, frame = spi.viewer.frame, scale = stage.fit * stage.scale;
        if (!frame || spi.viewer.box.dataset.outlines !== "on") return;
        const box = spi.viewer.box.querySelector(".stage").getBoundingClientRect();
        const at = [(event.clientX - box.left - stage.left) / scale, (event.clientY - box.top - stage.top) / scale];
        const k = spi.outlines.near(frame, ...at, reach / scale);
        if (k !== stage.hovered) stage.mark(k, frame);
    },

    /** One outline above the others, as a shape of its own; none for -1. */
    mark(k, frame) {
        const said = spi.viewer.box.querySelector(".outline-text"), svg = spi.stage.part("svg.pointed");
        spi.stage.hovered = k;
        svg.toggleAttribute("hidden", k < 0);
        said.textContent = "";
        if (k < 0) return;
        const points = frame.outlines[k], fresh = frame.new && frame.new.includes(k), shape = svg.firstChild;
        svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
        shape.setAttribute("points", points.join(" "));
        shape.setAttribute("class", `hovered${fresh ? " new" : ""}`);
        said.textContent = `Outline ${k + 1}: ${spi.number(spi.outlines.area(points))} px\u00b2, ${frame.names[k] || "no class"}${fresh ? ", new" : ""}`;
    },

    marker() {
        const [svg, shape] = ["svg", "polygon"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
        svg.setAttribute("class", "pointed");
        svg.setAttribute("aria-hidden", "true");
        svg.append(shape);
        return svg;
    },
};
