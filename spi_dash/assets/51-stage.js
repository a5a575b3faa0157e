/* The picture of the viewer: sharpness, zoom and pan, outlines, the frame before. */
"use strict";
spi.stage = {
    kept: new Map(), scale: 1, x: 0, y: 0, size: [4, 3], timer: 0, sharpAfterMs: 160,

    url: (device, t, size) => `/frames/${encodeURIComponent(device)}/${t}/${size}.jpg`,

    /** An Image that is loaded, or on its way: kept, so that a step needs no network. */
    fetch(url) {
        let image = spi.stage.kept.get(url);
        if (image) return image;
        image = new Image();
        image.ready = new Promise((done) => {
            image.onload = image.onerror = done;
        });
        image.src = url;
        spi.stage.kept.set(url, image);
        if (spi.stage.kept.size > 120) spi.stage.kept.delete(spi.stage.kept.keys().next().value);
        return image;
    },

    async picture(device, t, fast) {
        const {stage} = spi, img = stage.part("img.now"), url = stage.url(device, t, "thumbnail");
        const small = stage.fetch(url);
        stage.wanted = url;
        clearTimeout(stage.timer);
        if (!small.complete) await small.ready;
        if (stage.wanted !== url) return;
        img.src = url;
        img.classList.toggle("missing", !small.naturalWidth);
        if (!fast) stage.timer = setTimeout(() => stage.sharpen(device, t, url), stage.sharpAfterMs);
        stage.before();
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
        const svg = spi.stage.part("svg");
        spi.stage.hovered = -1;
        if (!frame) return spi.outlines.clear(svg);
        spi.stage.size = [frame.width, frame.height];
        spi.outlines.fill(svg, frame);
        spi.stage.place();
    },

    reset() {
        Object.assign(spi.stage, {scale: 1, x: 0, y: 0});
        spi.stage.place();
    },

    /** Fit times scale; x and y are the offset of the middle, in pixels of the window. */
    place() {
        const {stage} = spi, outer = spi.viewer.box.querySelector(".stage"), [w, h] = stage.size;
        const fit = Math.min(outer.clientWidth / w, outer.clientHeight / h) || 0.1;
        const width = w * fit * stage.scale, height = h * fit * stage.scale;
        const free = [Math.max(0, (width - outer.clientWidth) / 2), Math.max(0, (height - outer.clientHeight) / 2)];
        stage.x = Math.max(-free[0], Math.min(free[0], stage.x));
        stage.y = Math.max(-free[1], Math.min(free[1], stage.y));
        stage.fit = fit;
        Object.assign(spi.stage.part(".picture").style, {width: `${width}px`, height: `${height}px`,
            transform: `translate(${(outer.clientWidth - width) / 2 + stage.x}px, ${(outer.clientHeight - height) / 2 + stage.y}px)`});
        outer.classList.toggle("pixels", fit * stage.scale * devicePixelRatio > 2);
        spi.viewer.box.querySelector(".zoom-text").textContent = `${Math.round(fit * stage.scale * 100)} %`;
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
        outer.addEventListener("wheel", (event) => {
            event.preventDefault();
            stage.zoomBy(Math.exp(-event.deltaY / 300), ...stage.middle(event));
        }, {passive: false});
        outer.addEventListener("dblclick", (event) =>
            stage.scale > 1.01 ? stage.reset() : stage.zoomBy(1 / stage.fit, ...stage.middle(event)));
        outer.addEventListener("pointerdown", (event) => {
            outer.setPointerCapture(event.pointerId);
            pointers.set(event.pointerId, event);
        });
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
        new ResizeObserver(() => stage.place()).observe(outer);
    },

    /** The outline under the pointer: drawn stronger, with number, area, class. */
    hover(event) {
        const {stage} = spi, frame = spi.viewer.frame, said = spi.viewer.box.querySelector(".outline-text");
        if (!frame || spi.viewer.box.dataset.outlines !== "on") return;
        const box = stage.part(".picture").getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * frame.width, y = ((event.clientY - box.top) / box.height) * frame.height;
        const k = frame.outlines.findIndex((outline) => stage.inside(outline, x, y));
        if (k === stage.hovered) return;
        stage.hovered = k;
        const old = stage.part("svg .hovered");
        if (old) old.remove();
        said.textContent = "";
        if (k < 0) return;
        const fresh = frame.new && frame.new.includes(k);
        stage.part("svg").append(spi.outlines.shape(spi.outlines.path(frame.outlines[k]), `hovered${fresh ? " new" : ""}`));
        said.textContent = `Outline ${k + 1}: ${spi.number(stage.area(frame.outlines[k]))} px², ${frame.names[k] || "no class"}${fresh ? ", new" : ""}`;
    },

    inside(outline, x, y) {
        let odd = false;
        for (let i = 0, j = outline.length - 2; i < outline.length; j = i, i += 2) {
            const [ax, ay, bx, by] = [outline[i], outline[i + 1], outline[j], outline[j + 1]];
            if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
        }
        return odd;
    },

    area(outline) {
        let sum = 0;
        for (let i = 0, j = outline.length - 2; i < outline.length; j = i, i += 2)
            sum += outline[j] * outline[i + 1] - outline[i] * outline[j + 1];
        return Math.round(Math.abs(sum) / 2);
    },
};
