/* Thumbnails under a row: as many evenly spaced frames as fit, in one picture per row. */
"use strict";
spi.strip = {
    CELL: [128, 96],

    /** The frame nearest to the middle of each slot, or null: [{from, to, t}]. */
    slots(row, view, count) {
        const length = (view.end - view.start) / count;
        return Array.from({length: count}, (_, k) => {
            const from = view.start + k * length, middle = from + length / 2;
            const i = spi.series.nearest(row, middle);
            const inside = i >= 0 && row.x[i] >= from && row.x[i] < from + length;
            return {from, to: from + length, t: inside ? row.t[i] : null};
        });
    },

    fill(box, row, view) {
        const height = box.clientHeight || 60, width = (height * spi.strip.CELL[0]) / spi.strip.CELL[1];
        const count = Math.max(1, Math.round(view.plotWidth / (width + 2)));
        const slots = spi.strip.slots(row, view, count);
        const there = slots.filter((slot) => slot.t !== null);
        const key = there.map((slot) => slot.t.toString(36)).join(".");
        box.style.marginLeft = `${spi.plot.LEFT}px`;
        box.style.width = `${view.plotWidth}px`;
        if (box.dataset.key === `${key}/${count}`) return;
        box.dataset.key = `${key}/${count}`;
        const url = `/frames/${encodeURIComponent(row.device)}/strip/${key}.jpg`;
        const gaps = spi.plot.empty(row, view), missing = ({from, to}) => gaps.some(([a, b]) => a < (from + to) / 2 && b > (from + to) / 2);
        let at = 0;
        box.replaceChildren(...slots.map((slot) => {
            const beyond = view.spans && !(view.spans[row.device] || []).some(([start, end]) => start < slot.to && end > slot.from);
            // Between two pictures that are joined by a line none is missing.
            if (slot.t === null) return spi.make(`div.cell.none${beyond || !missing(slot) ? ".beyond" : ""}`, {"data-from": slot.from, "data-to": slot.to});
            const cell = spi.make("div.cell", {"data-t": slot.t});
            cell.style.backgroundPosition = `${there.length > 1 ? (at / (there.length - 1)) * 100 : 0}% 0`;
            cell.style.backgroundSize = `${there.length * 100}% 100%`;
            at++;
            return cell;
        }));
        if (there.length) spi.strip.load(box, url);
    },

    /** The picture when it is there: cells keep their colour until then, the plot never waits. */
    load(box, url) {
        const picture = new Image();
        box.dataset.url = url;
        picture.onload = () => {
            if (box.dataset.url !== url) return;
            for (const cell of box.children) if (!cell.classList.contains("none")) {
                cell.style.backgroundImage = `url("${url}")`;
                cell.classList.add("loaded");
            }
        };
        picture.onerror = () => spi.outage.missed(picture);
        picture.src = url;
    },
};
