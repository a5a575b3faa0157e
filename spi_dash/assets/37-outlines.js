/* Outlines over a picture, on a canvas. As shapes of an SVG a thousand of sixty points take a second for each change. */
"use strict";
spi.outlines = {
    CELL: 96, // pixels of the picture, of the grid that finds the outline under the pointer
    known: new WeakMap(), // what was made of a frame

    layer: () => spi.make("canvas.outlines", {"aria-hidden": "true"}),

    clear(canvas) {
        canvas.width = canvas.height = 0;
        Object.assign(canvas.dataset, {known: 0, new: 0, also: 0});
    },

    /** Of a frame: its outlines with the boxes around them, those of the compared version, and the grid. */
    read(frame) {
        let found = spi.outlines.known.get(frame);
        if (found) return found;
        const {box} = spi.outlines, fresh = new Set(frame.new || []), kind = (k) => (fresh.has(k) ? "new" : "known");
        const mine = frame.outlines.map((points, k) => ({points, kind: kind(k), box: box(points)}));
        const also = (frame.compared ? frame.compared.outlines : []).map((points) => ({points, kind: "also", box: box(points)}));
        found = {mine, also, grid: spi.outlines.grid(mine, frame), size: mine.reduce((sum, {points}) => sum + points.length / 2, 0)};
        spi.outlines.known.set(frame, found);
        return found;
    },

    box(points) {
        const box = [Infinity, Infinity, -Infinity, -Infinity];
        for (let i = 0; i < points.length; i += 2) {
            box[0] = Math.min(box[0], points[i]);
            box[1] = Math.min(box[1], points[i + 1]);
            box[2] = Math.max(box[2], points[i]);
            box[3] = Math.max(box[3], points[i + 1]);
        }
        return box;
    },

    /** Which outlines may lie where; only inside of the picture, however far they reach beyond it. */
    grid(shapes, {width, height}) {
        const grid = new Map(), {CELL} = spi.outlines, wide = Math.ceil(width / CELL);
        shapes.forEach(({box}, k) => {
            const [left, top] = [Math.max(0, box[0]), Math.max(0, box[1])].map((value) => Math.floor(value / CELL));
            const [right, bottom] = [Math.min(width - 1, box[2]), Math.min(height - 1, box[3])].map((value) => Math.floor(value / CELL));
            for (let y = top; y <= bottom; y++) for (let x = left; x <= right; x++) {
                const cell = y * wide + x;
                if (!grid.has(cell)) grid.set(cell, []);
                grid.get(cell).push(k);
            }
        });
        return grid;
    },

    /** Index of the outline at a pixel of the picture, the smallest of several; -1 where there is none. */
    find(frame, x, y) {
        if (x < 0 || y < 0 || x >= frame.width || y >= frame.height) return -1;
        const {CELL, area, inside} = spi.outlines, cell = Math.floor(y / CELL) * Math.ceil(frame.width / CELL) + Math.floor(x / CELL);
        const here = (spi.outlines.read(frame).grid.get(cell) || []).filter((k) => inside(frame.outlines[k], x, y));
        return here.sort((a, b) => area(frame.outlines[a]) - area(frame.outlines[b]))[0] ?? -1;
    },

    /** As `find`, else the outline with a point nearest, at most `reach` pixels of the picture away. */
    near(frame, x, y, reach) {
        let found = spi.outlines.find(frame, x, y), least = found < 0 ? reach : 0;
        if (!least) return found;
        spi.outlines.read(frame).mine.forEach(({points, box}, k) => {
            if (box[0] - x > least || x - box[2] > least || box[1] - y > least || y - box[3] > least) return;
            for (let i = 0; i < points.length; i += 2) {
                const far = Math.hypot(points[i] - x, points[i + 1] - y);
                if (far < least) [found, least] = [k, far];
            }
        });
        return found;
    },

    /** Draw on a canvas as large as its place: the picture's corner lies at x, y, its pixels are `scale` wide. */
    draw(canvas, frame, {x, y, scale, second = true}) {
        const ratio = devicePixelRatio || 1, [w, h] = [canvas.clientWidth, canvas.clientHeight], {mine, also} = spi.outlines.read(frame);
        canvas.width = Math.round(w * ratio); // which also empties it
        canvas.height = Math.round(h * ratio);
        const seen = ({box}) => box[2] * scale + x > -2 && box[3] * scale + y > -2 && box[0] * scale + x < w + 2 && box[1] * scale + y < h + 2;
        const shapes = [...(second ? also : []), ...mine].filter(seen), pen = canvas.getContext("2d"), looks = spi.outlines.looks(canvas);
        const paths = shapes.map((shape) => spi.outlines.path(shape.points, x, y, scale));
        pen.scale(ratio, ratio);
        pen.lineJoin = "round";
        pen.strokeStyle = looks.halo;
        pen.lineWidth = 3;
        for (const path of paths) pen.stroke(path);
        const count = {known: 0, new: 0, also: 0};
        for (const kind of ["also", "known", "new"]) {
            Object.assign(pen, looks[kind]);
            pen.setLineDash(kind === "also" ? [5, 4] : []);
            shapes.forEach((shape, k) => {
                if (shape.kind !== kind) return;
                pen.stroke(paths[k]);
                count[kind]++;
            });
        }
        Object.assign(canvas.dataset, count);
    },

    looks(canvas) {
        const style = getComputedStyle(canvas), get = (name) => style.getPropertyValue(name).trim();
        return {halo: get("--halo"), known: {strokeStyle: get("--outline"), lineWidth: 1.5},
            new: {strokeStyle: get("--fresh"), lineWidth: 2}, also: {strokeStyle: get("--second"), lineWidth: 1.5}};
    },

    /** In pixels of the screen; points that come to lie on the one before are left out. */
    path(points, x, y, scale) {
        const path = new Path2D(), n = points.length;
        let [lastX, lastY] = [points[0] * scale + x, points[1] * scale + y];
        path.moveTo(lastX, lastY);
        for (let i = 2; i < n; i += 2) {
            const [nextX, nextY] = [points[i] * scale + x, points[i + 1] * scale + y];
            if (i < n - 2 && Math.abs(nextX - lastX) + Math.abs(nextY - lastY) < 1.5) continue;
            path.lineTo(nextX, nextY);
            [lastX, lastY] = [nextX, nextY];
        }
        path.closePath();
        return path;
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

/* The viewer's outlines: redrawn while the picture moves where they are few; else the drawing moves along, and is made anew at rest. */
spi.overlay = {
    FEW: 8000, // points
    REST_MS: 90,
    now: {x: 0, y: 0, scale: 1}, drawn: null, timer: 0, frame: 0,

    canvas: () => spi.stage.part("canvas.outlines"),

    draw() {
        const {overlay} = spi, {box, frame} = spi.viewer, canvas = overlay.canvas();
        clearTimeout(overlay.timer);
        canvas.style.transform = "";
        overlay.drawn = null;
        if (!frame || box.dataset.outlines !== "on") return spi.outlines.clear(canvas);
        overlay.drawn = {...overlay.now};
        spi.outlines.draw(canvas, frame, {...overlay.now, second: box.dataset.second === "on"});
    },

    /** The picture lies elsewhere. */
    place(now) {
        const {overlay} = spi, {drawn} = overlay, {frame} = spi.viewer;
        overlay.now = now;
        if (!frame || !drawn || (drawn.x === now.x && drawn.y === now.y && drawn.scale === now.scale)) return;
        clearTimeout(overlay.timer);
        const by = now.scale / drawn.scale;
        overlay.canvas().style.transform = `translate(${now.x - drawn.x * by}px, ${now.y - drawn.y * by}px) scale(${by})`;
        overlay.timer = setTimeout(overlay.draw, spi.outlines.read(frame).size > overlay.FEW ? overlay.REST_MS : 0);
    },
};
