/* Tuboids: each is one picture of tiles, four in a row, that is moved behind a window: a film. */
"use strict";
spi.tuboids = {
    PER_ROW: 4,
    EVERY_MS: 160,
    films: new Map(), // by element: {step, steps, playing, visible}
    cards: new Map(), // by tuboid: {box, key}, as they are drawn
    box: null, // where they are drawn
    change: null, // the change that is shown, see 90-live.js
    all: false, // play whatever can be seen
    timer: 0,

    calm: () => matchMedia("(prefers-reduced-motion: reduce)").matches,
    picture: (id, what) => `/tuboids/${encodeURIComponent(id)}/${what}.jpg`,
    address: (card) => `/image/${encodeURIComponent(card.device)}/${spi.time.legacy(card.start)}${location.search}`,

    make(tag, className, text, more = {}) {
        const element = Object.assign(document.createElement(tag), {className, ...more});
        if (text !== undefined) element.textContent = text;
        return element;
    },

    /** The tiles that a film has: as many as shots, but no more than the picture is high. */
    measure(film, image) {
        const state = spi.tuboids.films.get(film);
        if (!state) return;
        const rows = Math.round(image.naturalHeight / (image.naturalWidth / spi.tuboids.PER_ROW));
        state.steps = Math.max(1, Math.min(state.shots, rows * spi.tuboids.PER_ROW));
        spi.tuboids.show(film, Math.min(state.step, state.steps - 1));
    },

    show(film, step) {
        const state = spi.tuboids.films.get(film), image = film.querySelector("img"), per = spi.tuboids.PER_ROW;
        state.step = (step + state.steps) % state.steps;
        image.style.left = `${-100 * (state.step % per)}%`;
        image.style.top = `${-100 * Math.floor(state.step / per)}%`;
        film.querySelector(".step").textContent = `${state.step + 1} / ${state.steps}`;
        film.querySelector(".along").style.width = `${(100 * (state.step + 1)) / state.steps}%`;
        film.dataset.step = state.step;
    },

    play(film, playing) {
        const state = spi.tuboids.films.get(film);
        if (!state) return;
        state.playing = playing;
        film.setAttribute("aria-pressed", String(playing));
        spi.tuboids.run();
    },

    moving: () => [...spi.tuboids.films].filter(([, state]) => state.playing || (spi.tuboids.all && state.visible && !state.held)),

    /** One clock for all films; it stands still when none plays. */
    run() {
        const wanted = spi.tuboids.all || spi.tuboids.moving().length > 0;
        if (wanted === Boolean(spi.tuboids.timer)) return;
        clearInterval(spi.tuboids.timer);
        spi.tuboids.timer = wanted ? setInterval(spi.tuboids.tick, spi.tuboids.EVERY_MS) : 0;
    },

    tick() {
        if (!document.querySelector(".films")) spi.tuboids.clear();
        if (document.hidden) return;
        for (const [film, state] of spi.tuboids.moving())
            if (film.querySelector("img").complete) spi.tuboids.show(film, state.step + 1);
    },

    clear() {
        if (spi.tuboids.seen) spi.tuboids.seen.disconnect();
        spi.tuboids.films.clear();
        spi.tuboids.cards.clear();
        spi.tuboids.all = false;
        spi.tuboids.run();
    },

    playAll(on) {
        spi.tuboids.all = on;
        for (const state of spi.tuboids.films.values()) state.held = false;
        const button = document.querySelector(".play-all");
        button.setAttribute("aria-pressed", String(on));
        button.querySelector(".icon").className = `icon icon-${on ? "pause" : "play"}`;
        spi.tuboids.run();
    },

    film(card) {
        const {make} = spi.tuboids, film = make("button", "film", undefined, {type: "button", ariaPressed: "false"});
        const image = make("img", "", undefined, {loading: "lazy", decoding: "async", alt: ""});
        film.append(image, make("span", "step", `1 / ${card.shots}`), make("span", "along"));
        spi.tuboids.films.set(film, {step: 0, steps: Math.max(1, card.shots), shots: card.shots, playing: false, visible: false, held: false});
        image.addEventListener("load", () => film.classList.remove("broken"));
        image.addEventListener("load", () => spi.tuboids.measure(film, image));
        image.addEventListener("error", () => film.classList.add("broken"));
        image.src = spi.tuboids.picture(card.id, "tuboid");
        film.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && !spi.tuboids.calm() && spi.tuboids.play(film, true));
        film.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && spi.tuboids.play(film, false));
        film.addEventListener("focus", () => film.matches(":focus-visible") && !spi.tuboids.calm() && spi.tuboids.play(film, true));
        film.addEventListener("blur", () => spi.tuboids.play(film, false));
        film.addEventListener("click", () => spi.tuboids.toggle(film));
        film.addEventListener("keydown", (event) => {
            const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
            if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
            event.preventDefault();
            spi.tuboids.hold(film);
            spi.tuboids.show(film, spi.tuboids.films.get(film).step + by);
        });
        return film;
    },

    hold(film) {
        spi.tuboids.films.get(film).held = true;
        spi.tuboids.play(film, false);
    },

    toggle(film) {
        const state = spi.tuboids.films.get(film);
        if (state.playing || (spi.tuboids.all && !state.held)) return spi.tuboids.hold(film);
        state.held = false;
        spi.tuboids.play(film, true);
    },

    /** A card, or what is new of one that is there: its film plays on. */
    fill(box, card) {
        const {make} = spi.tuboids, film = box.firstChild || spi.tuboids.film(card), had = box.contains(document.activeElement);
        const focused = had && document.activeElement !== film ? document.activeElement.className : "";
        const says = `${card.shots} shots, ${card.taxon.at(-1) || "unlabelled"}: space plays, arrow keys step`;
        Object.assign(film, {title: says, ariaLabel: `Film of ${says}`});
        while (box.lastChild && box.lastChild !== film) box.lastChild.remove();
        if (!box.firstChild) box.append(film);
        box.append(...spi.tuboids.words(card));
        if (focused) box.getElementsByClassName(focused)[0]?.focus();
        return box;
    },

    words(card) {
        const {make} = spi.tuboids, title = make("h3", card.by ? "" : "none");
        const above = card.taxon.slice(0, -1).filter(Boolean).join(" \u203a ");
        if (above) title.append(make("span", "above", `${above} \u203a `));
        title.append(card.by ? card.taxon.at(-1) || "not known" : "unlabelled");
        const hours = Math.round((card.end - card.start) / 360) / 10;
        const links = make("div", "links"), context = make("button", "show-context", "Context", {type: "button"});
        context.addEventListener("click", () => spi.tuboids.showContext(card));
        links.append(context, spi.tuboids.link(card));
        const words = [title,
            make("p", "", `${card.name || card.device} \u00b7 ${spi.time.stamp(card.start)} (${spi.time.label(card.start)})`, {title: card.id}),
            make("p", "", `${card.shots} ${card.shots === 1 ? "shot" : "shots"} in ${hours} h`)];
        if (card.by) words.push(make("p", "", `by ${card.by.length > 44 ? card.by.slice(0, 43) + "\u2026" : card.by}`, {title: card.by}));
        return [...words, links];
    },

    /** Cards that came, went or changed; those that are the same are not touched, so that films play on. */
    renew(cards, zone) {
        const {box, cards: drawn, make} = spi.tuboids, wanted = new Set(cards.map((card) => card.id));
        for (const [id, {box: old}] of drawn) {
            if (wanted.has(id)) continue;
            spi.tuboids.seen.unobserve(old.firstChild);
            spi.tuboids.films.delete(old.firstChild);
            old.remove();
            drawn.delete(id);
        }
        let next = box.firstChild;
        for (const card of cards) {
            const key = JSON.stringify([card, zone]), had = drawn.get(card.id);
            const place = had ? had.box : make("article", "tuboid", undefined, {role: "listitem"});
            if (!had || had.key !== key) spi.tuboids.fill(place, card);
            if (!had) spi.tuboids.seen.observe(place.firstChild);
            drawn.set(card.id, {box: place, key});
            if (place === next) next = next.nextSibling;
            else box.insertBefore(place, next);
        }
        spi.tuboids.run();
    },

    /** For an element that is new: the page was left meanwhile. */
    begin(box) {
        const all = spi.tuboids.all;
        spi.tuboids.clear();
        spi.tuboids.box = box;
        spi.tuboids.seen = new IntersectionObserver((entries) => {
            for (const {target, isIntersecting} of entries) {
                const state = spi.tuboids.films.get(target);
                if (state) state.visible = isIntersecting;
            }
        });
        spi.tuboids.playAll(all);
    },

    here: () => Boolean(document.querySelector(".tuboids-page")),

    link(card) {
        if (!card.shot) return spi.tuboids.make("span", "gone", "picture not here", {title: "The picture of the first shot is not on this server."});
        const link = spi.tuboids.make("a", "first-shot", "First shot", {href: spi.tuboids.address(card)});
        link.addEventListener("click", (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            spi.viewer.open(card.device, card.start);
        });
        return link;
    },

    showContext(card) {
        const {make} = spi.tuboids, dialog = make("dialog", "context", undefined, {ariaLabel: "Context of the tuboid"});
        const close = make("button", "outline", "Close", {type: "button"}), foot = make("div", "");
        const image = make("img", "", undefined, {alt: "The whole picture, the insect marked"});
        image.addEventListener("error", () => image.replaceWith(make("p", "", "The context's file is missing.")));
        image.src = spi.tuboids.picture(card.id, "context");
        foot.append(make("span", "", `${card.name || card.device} \u00b7 ${spi.time.stamp(card.start)} (${spi.time.label(card.start)})`), close);
        dialog.append(image, foot);
        close.addEventListener("click", () => dialog.close());
        dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
        dialog.addEventListener("close", () => dialog.remove());
        document.body.append(dialog);
        dialog.showModal();
    },

    pager({page, pages}) {
        const {make} = spi.tuboids, nav = document.querySelector(".pager");
        nav.replaceChildren();
        if (pages < 2) return;
        const go = (text, to) => {
            const button = make("button", "outline", text, {type: "button", disabled: to < 1 || to > pages});
            button.addEventListener("click", () => spi.scope.go({page: to > 1 ? String(to) : ""}));
            return button;
        };
        nav.append(go("Newer", page - 1), make("span", "", `Page ${page} of ${pages}`), go("Older", page + 1));
    },
};

dash_clientside.tuboids = {
    /** The films of one page: what is new of them, all of them when the zone is another. */
    draw(data, resolved, drawn) {
        const box = document.querySelector(".films");
        if (!data || !resolved || !box) return dash_clientside.no_update;
        spi.time.use(resolved);
        document.body.classList.remove("is-loading");
        spi.time.sayDays();
        const zone = [resolved.zone, resolved.site], key = [data.print, ...zone];
        if (String(key) === String(drawn) && box.childElementCount) return dash_clientside.no_update;
        if (box !== spi.tuboids.box) spi.tuboids.begin(box);
        spi.tuboids.renew(data.cards, String(zone));
        spi.tuboids.pager(data);
        spi.tuboidCounts.ask();
        return key;
    },

    /** The change that is shown: what comes after it is asked for. */
    hold(change) {
        if (Number.isInteger(change)) spi.tuboids.change = change;
    },
};

document.addEventListener("click", (event) => {
    const filter = event.target.closest(".tuboid-filter"), all = event.target.closest(".play-all");
    if (all) spi.tuboids.playAll(!spi.tuboids.all);
    if (!filter) return;
    const changes = {page: ""};
    for (const name of ["taxon", "trap"]) if (name in filter.dataset) changes[name] = filter.dataset[name];
    spi.scope.go(changes);
});

/* In the capture phase: the address is right before the browser follows it. */
document.addEventListener("click", (event) => {
    const link = event.target.closest("a.labels-csv");
    if (link) link.href = `/download/tuboids.csv${location.search}`;
}, true);
