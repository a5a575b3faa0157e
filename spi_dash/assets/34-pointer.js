/* Pointer and keys over the rows: tooltip, click, drag to zoom, wheel to zoom. */
"use strict";
spi.pointer = {
    drag: null, timer: 0,

    /** What is under the pointer: {node, row, i, t} or null. */
    under(event) {
        const node = event.target.closest && event.target.closest(".explore .row"), view = spi.explore.view;
        if (!node || !view) return null;
        const cell = event.target.closest(".cell[data-t]");
        const box = node.querySelector("canvas").getBoundingClientRect();
        const t = cell ? Number(cell.dataset.t) : spi.plot.t(view, event.clientX - box.left);
        if (!cell && !event.target.closest("canvas")) return null;
        return spi.pointer.at(node, cell ? spi.series.nearest(node.spiRow, t) : spi.pointer.close(node.spiRow, t, view));
    },

    /** The nearest point, unless it is far away: in a gap there is nothing to show. */
    close(row, t, view) {
        const i = spi.series.nearest(row, t), reach = ((view.end - view.start) / view.plotWidth) * 12;
        return i >= 0 && Math.abs(row.x[i] - t) <= Math.max(reach, (row.bucket || row.cadence) * 0.6) ? i : -1;
    },

    at: (node, i) => (i < 0 ? null : {node, row: node.spiRow, i, t: node.spiRow.t[i]}),

    move(event) {
        if (spi.pointer.drag) return spi.pointer.stretch(event);
        const found = spi.pointer.under(event);
        found ? spi.tooltip.show(found, event.clientX, event.clientY) : spi.tooltip.hide();
    },

    down(event) {
        const canvas = event.target.closest && event.target.closest(".explore canvas.plot");
        if (!canvas || event.button || event.pointerType === "touch") return;
        const box = canvas.getBoundingClientRect();
        spi.pointer.drag = {left: box.left, from: event.clientX, to: event.clientX};
    },

    stretch(event) {
        const drag = spi.pointer.drag;
        drag.to = event.clientX;
        if (Math.abs(drag.to - drag.from) < 5) return;
        spi.tooltip.hide();
        drag.shade ||= document.querySelector(".explore").appendChild(spi.make("div.zoom-shade"));
        const base = document.querySelector(".explore").getBoundingClientRect(), rows = spi.explore.root().getBoundingClientRect();
        drag.shade.style.top = `${rows.top - base.top}px`;
        drag.shade.style.height = `${rows.height}px`;
        drag.shade.style.left = `${Math.min(drag.from, drag.to) - base.left}px`;
        drag.shade.style.width = `${Math.abs(drag.to - drag.from)}px`;
    },

    up(event) {
        const drag = spi.pointer.drag, view = spi.explore.view;
        spi.pointer.drag = null;
        if (!drag) return;
        if (drag.shade) drag.shade.remove();
        if (Math.abs(drag.to - drag.from) < 5) return;
        const [a, b] = [drag.from, drag.to].sort((x, y) => x - y).map((x) => spi.plot.t(view, x - drag.left));
        spi.pointer.zoom(Math.max(a, view.start), Math.min(b, view.end));
        event.stopPropagation();
        spi.pointer.justZoomed = performance.now();
    },

    /** Draw what is there at once, then ask for finer data. */
    zoom(start, end) {
        [start, end] = spi.pointer.within(start, end);
        const middle = (start + end) / 2, half = Math.max(1800, (end - start) / 2), {view} = spi.explore;
        const from = Math.floor((middle - half) / 60) * 60, to = Math.ceil((middle + half) / 60) * 60;
        if (Math.abs(from - view.start) < 60 && Math.abs(to - view.end) < 60) return; // nowhere to go
        spi.explore.show(from, to);
        spi.pointer.forget();
        spi.pointer.timer = setTimeout(() => {
            spi.pointer.timer = 0;
            spi.scope.goTo(from, to);
        }, 180);
    },

    /** A range moved, then cut, to where there is something: all days with pictures, until now, and what is shown. */
    within(start, end) {
        const {view} = spi.explore, [days] = spi.explore.data.days.map((text) => spi.series.unpack(text)), now = Date.now() / 1000;
        const low = Math.min(days.length ? days[0] : view.start, view.start);
        const high = Math.max(days.length ? days[days.length - 1] + 86400 : view.end, view.end, Math.min(now, low + 20 * 365 * 86400));
        const length = end - start, from = Math.max(low, Math.min(start, high - length));
        return [from, Math.min(high, from + length)];
    },

    /** A zoom is drawn that nobody has asked the server for yet. */
    zooming: () => spi.pointer.timer !== 0,

    forget() {
        clearTimeout(spi.pointer.timer);
        spi.pointer.timer = 0;
    },

    zoomOut() {
        const {start, end} = spi.explore.view, more = (end - start) / 2;
        spi.pointer.zoom(start - more, Math.min(end + more, Math.max(end, Date.now() / 1000)));
    },

    wheel(event) {
        const canvas = event.target.closest && event.target.closest(".explore canvas.plot"), view = spi.explore.view;
        const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
        if (!canvas || !view || !(event.ctrlKey || event.altKey || sideways)) return; // a plain wheel scrolls the page
        event.preventDefault();
        const length = view.end - view.start;
        if (sideways) {
            const step = (event.deltaX / view.plotWidth) * length;
            return spi.pointer.zoom(view.start + step, view.end + step);
        }
        const t = spi.plot.t(view, event.clientX - canvas.getBoundingClientRect().left);
        const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200)));
        spi.pointer.zoom(t - (t - view.start) * factor, t + (view.end - t) * factor);
    },

    click(event) {
        if (performance.now() - (spi.pointer.justZoomed || -1e9) < 300) return;
        const found = spi.pointer.under(event);
        if (found) spi.pointer.open(found);
    },

    open(found) {
        spi.tooltip.hide();
        spi.viewer.open(found.row.device, found.t);
    },

    /** Arrows walk along a row's points, Enter opens the frame. */
    key(event) {
        const canvas = event.target.closest && event.target.closest(".explore canvas.plot");
        if (!canvas) return;
        const node = canvas.closest(".row"), row = node.spiRow, [first, end] = row.inside;
        const moves = {ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -1e9, End: 1e9};
        const now = node.spiAt === undefined ? end : spi.series.nearest(row, node.spiAt); // a moment: points come and go
        if (event.key === "Enter" && node.spiAt !== undefined && now >= 0) return spi.pointer.open(spi.pointer.at(node, now));
        if (event.key === "Escape") return spi.tooltip.hide();
        if (!(event.key in moves) || first >= end) return;
        event.preventDefault();
        const i = Math.max(first, Math.min(end - 1, now + moves[event.key])), box = canvas.getBoundingClientRect();
        node.spiAt = row.x[i];
        spi.tooltip.show(spi.pointer.at(node, i), box.left + spi.plot.x(spi.explore.view, row.x[i]), box.top + 40);
    },
};

document.addEventListener("pointermove", spi.pointer.move);
document.addEventListener("pointerdown", spi.pointer.down);
document.addEventListener("pointerup", spi.pointer.up, true);
document.documentElement.addEventListener("pointerleave", () => spi.tooltip.hide());
document.addEventListener("wheel", spi.pointer.wheel, {passive: false});
document.addEventListener("click", spi.pointer.click);
document.addEventListener("keydown", spi.pointer.key);
document.addEventListener("scroll", () => spi.tooltip.hide(), {passive: true});
window.addEventListener("popstate", () => spi.tooltip.hide()); // another page, without a move of the mouse
