/* The range slider below the rows: all days with pictures, and the window that is shown. */
"use strict";
spi.slider = {
    drag: null,

    box: () => document.querySelector(".explore .slider"),

    make(box) {
        const {make} = spi, grip = (side, label) => make(`div.grip.${side}`,
            {role: "slider", tabindex: "0", "aria-label": label, "data-grip": side, "aria-valuemin": "0", "aria-valuemax": "100"});
        const pane = make("div.pane", {"data-grip": "pan"}, [grip("left", "Start of the range"), grip("right", "End of the range")]);
        box.append(make("canvas.days", {"aria-hidden": "true"}), pane);
        box.addEventListener("pointerdown", spi.slider.down);
        box.addEventListener("pointermove", spi.slider.move);
        box.addEventListener("pointerup", spi.slider.up);
        box.addEventListener("keydown", spi.slider.key);
    },

    /** All days, and where the view lies in them. */
    draw(view) {
        const box = spi.slider.box(), [days, counts] = spi.explore.data.days.map((text) => spi.series.unpack(text));
        if (!box.firstChild) spi.slider.make(box);
        const first = days.length ? days[0] : view.start, last = days.length ? days[days.length - 1] + 86400 : view.end;
        Object.assign(spi.slider, {start: Math.min(first, view.start), end: Math.max(last, view.end), width: view.plotWidth});
        box.style.marginLeft = `${view.label + spi.plot.LEFT}px`;
        box.style.width = `${view.plotWidth}px`;
        spi.slider.bars(box.querySelector("canvas"), days, counts);
        spi.slider.place(view.start, view.end);
    },

    x: (t) => ((t - spi.slider.start) / (spi.slider.end - spi.slider.start)) * spi.slider.width,

    bars(canvas, days, counts) {
        const most = Math.max(1, ...counts), height = 16, ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
        canvas.width = spi.slider.width * ratio;
        canvas.height = height * ratio;
        pen.scale(ratio, ratio);
        pen.fillStyle = spi.explore.look.quiet;
        pen.globalAlpha = 0.45;
        days.forEach((day, i) => {
            const x = spi.slider.x(day), tall = Math.max(1, (counts[i] / most) * height);
            pen.fillRect(x, height - tall, Math.max(1, spi.slider.x(day + 86400) - x - 0.5), tall);
        });
    },

    place(start, end) {
        const pane = spi.slider.box().querySelector(".pane"), left = spi.slider.x(start);
        pane.style.left = `${left}px`;
        pane.style.width = `${Math.max(6, spi.slider.x(end) - left)}px`;
        const [a, b] = pane.querySelectorAll(".grip");
        for (const [grip, t] of [[a, start], [b, end]]) {
            grip.setAttribute("aria-valuenow", Math.round((spi.slider.x(t) / spi.slider.width) * 100));
            grip.setAttribute("aria-valuetext", spi.time.stamp(t));
        }
    },

    moved(kind, shift, {start, end}) {
        const least = 3600;
        if (kind === "left") return [Math.min(Math.max(start + shift, spi.slider.start), end - least), end];
        if (kind === "right") return [start, Math.max(Math.min(end + shift, spi.slider.end), start + least)];
        return spi.pointer.within(start + shift, end + shift);
    },

    down(event) {
        const {view} = spi.explore, box = spi.slider.box(), grip = event.target.closest("[data-grip]");
        event.preventDefault();
        box.setPointerCapture(event.pointerId);
        let from = {start: view.start, end: view.end};
        if (!grip) { // beside the window: it comes here
            const t = spi.slider.start + ((event.clientX - box.getBoundingClientRect().left) / spi.slider.width) * (spi.slider.end - spi.slider.start);
            const half = (view.end - view.start) / 2;
            from = {start: t - half, end: t + half};
        }
        spi.slider.drag = {kind: grip ? grip.dataset.grip : "pan", x: event.clientX, from, now: [from.start, from.end]};
        spi.slider.move(event);
    },

    move(event) {
        const drag = spi.slider.drag;
        if (!drag) return;
        const shift = ((event.clientX - drag.x) / spi.slider.width) * (spi.slider.end - spi.slider.start);
        drag.now = spi.slider.moved(drag.kind, shift, drag.from);
        spi.slider.place(...drag.now);
    },

    up() {
        const drag = spi.slider.drag, view = spi.explore.view;
        spi.slider.drag = null;
        if (drag && (Math.abs(drag.now[0] - view.start) > 60 || Math.abs(drag.now[1] - view.end) > 60)) spi.pointer.zoom(...drag.now);
    },

    key(event) {
        const kind = event.target.dataset.grip, view = spi.explore.view;
        const way = {ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5}[event.key];
        if (!kind || !way) return;
        event.preventDefault();
        spi.pointer.zoom(...spi.slider.moved(kind, (way * (view.end - view.start)) / 20, view));
    },
};
