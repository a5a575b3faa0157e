/* What stands around the picture: title, buttons, scrubber, details. */
"use strict";
spi.viewerFrame = {
    SPEEDS: [1, 2, 5, 10, 20],

    make() {
        const {make, viewer} = spi, button = spi.viewerFrame.button;
        const toggles = [["outlines", "outline", "Outlines (c)"], ["compare", "compare", "Compare with the picture before (b)"],
            ["details", "info", "Details (i)"]].map(([name, icon, text]) =>
            button(icon, text, () => spi.viewerFrame.toggle(name), {"data-toggle": name, "aria-pressed": "false"}));
        const second = make("button.tool.letter", {type: "button", title: "Outlines of the compared version (v)",
            "aria-label": "Outlines of the compared version (v)", "data-toggle": "second", "aria-pressed": "true"}, "v2");
        second.addEventListener("click", () => spi.viewerFrame.toggle("second"));
        toggles.splice(1, 0, second);
        const head = make("div.viewer-head", {}, [make("div.viewer-title", {role: "status"}), make("div.viewer-count"), make("div.outline-text"),
            make("div.grow"), make("span.zoom-text"), ...toggles, button("close", "Close (Esc)", viewer.close)]);
        const picture = make("div.picture", {}, [make("img.now", {alt: ""}), make("img.before", {alt: "", hidden: ""}), spi.stage.marker(), make("div.split"),
            make("p.no-picture", {role: "status"})]);
        const slider = make("input.split-slider", {type: "range", min: "0", max: "100", value: "50", "aria-label": "Before and after"});
        const stage = make("div.stage", {tabindex: "-1"}, [picture, spi.outlines.layer()]);
        const middle = make("div.viewer-middle", {}, [make("div.stage-box", {}, [stage, slider]), make("div.details")]);
        const box = make("dialog.viewer", {"aria-label": "Picture"}, [head, middle, spi.viewerFrame.foot()]);
        box.dataset.outlines = box.dataset.second = "on";
        toggles[0].setAttribute("aria-pressed", "true");
        box.addEventListener("cancel", (event) => {
            event.preventDefault();
            viewer.close();
        });
        slider.addEventListener("input", spi.stage.split);
        document.body.append(box);
        spi.stage.listen(stage);
        return box;
    },

    foot() {
        const {make, viewer} = spi, button = spi.viewerFrame.button;
        const speed = make("select.speed", {"aria-label": "Pictures per second"},
            spi.viewerFrame.SPEEDS.map((each) => make("option", {value: each, ...(each === 5 ? {selected: ""} : {})}, `${each} per s`)));
        const scrubber = make("input.scrubber", {type: "range", min: "0", value: "0", "aria-label": "Picture in these dates"});
        scrubber.addEventListener("input", () => spi.moments.scrub(Number(scrubber.value)));
        const arrows = [button("first", "First picture (Home)", () => viewer.end(0)), button("previous", "Previous picture (left arrow)", () => viewer.step(-1)),
            button("play", "Play or pause (space)", viewer.play, {"data-play": ""}),
            button("next", "Next picture (right arrow)", () => viewer.step(1)), button("last", "Last picture (End)", () => viewer.end(1))];
        return make("div.viewer-foot", {}, [...arrows, speed, make("span.from"), scrubber, make("span.to"), make("span.position")]);
    },

    button(icon, label, action, more = {}) {
        const made = spi.make("button.tool", {type: "button", title: label, "aria-label": label, ...more}, [spi.icon(icon)]);
        made.addEventListener("click", () => action());
        return made;
    },

    speed: () => Number(spi.viewer.box.querySelector(".speed").value),

    toggle(name) {
        const {box} = spi.viewer, on = box.dataset[name] !== "on";
        box.dataset[name] = on ? "on" : "off";
        box.querySelector(`[data-toggle="${name}"]`).setAttribute("aria-pressed", String(on));
        if (name === "compare") spi.stage.before();
        spi.stage.mark(-1);
        spi.stage.place();
        spi.overlay.draw();
    },

    /** What follows from the position alone: no waiting for the server. */
    place() {
        const {viewer} = spi, {box, moments, at} = viewer, t = viewer.now(), find = (selector) => box.querySelector(selector);
        if (viewer.described !== t) { // neither count nor words of an outline stand beside another frame
            find(".viewer-count").textContent = "";
            spi.stage.mark(-1);
        }
        find(".viewer-title").replaceChildren(...spi.viewerFrame.title(t));
        const scrubber = find(".scrubber");
        scrubber.max = moments.length - 1;
        scrubber.value = at;
        scrubber.setAttribute("aria-valuetext", spi.time.stamp(t));
        find(".from").textContent = spi.time.stamp(moments[0]);
        find(".to").textContent = spi.time.stamp(moments.at(-1));
        find(".position").textContent = viewer.absent ? "no pictures" : `${spi.number(at + 1)} of ${spi.number(moments.length)}`;
        find("[data-play] .icon").className = `icon icon-${viewer.playing ? "pause" : "play"}`;
        spi.stage.part("img.now").alt = `Picture of ${spi.viewerFrame.name()}, ${spi.time.stamp(t)}`;
    },

    /** Of a long name the end is left out, of the time nothing. */
    title(t) {
        const name = spi.viewerFrame.name();
        return [spi.make("span.name", {title: name}, name), spi.make("span.when", {}, ` · ${spi.time.stamp(t)} (${spi.time.label(t)})`)];
    },

    name() {
        const row = spi.explore.rows.find((each) => each.device === spi.viewer.device);
        return (row && row.name) || spi.viewerFrame.names.get(spi.viewer.device) || spi.viewer.device;
    },

    names: new Map(), // of traps, as frames tell them: Explore's rows may not be there


    describe(frame, t) {
        const count = spi.viewer.box.querySelector(".viewer-count"), details = spi.viewer.box.querySelector(".details");
        spi.viewer.described = t;
        if (!frame) {
            count.textContent = spi.viewer.absent ? "no such picture" : "this picture could not be loaded";
            return details.replaceChildren();
        }
        spi.viewerFrame.names.set(frame.device, frame.trap);
        spi.viewer.box.querySelector(".viewer-title").replaceChildren(...spi.viewerFrame.title(t));
        const n = frame.outlines.length, fresh = frame.new ? frame.new.length : 0, found = `${spi.number(n)} ${n === 1 ? "insect" : "insects"}`;
        const text = !frame.detector ? "not processed yet" : frame.unread ? "its outlines cannot be read" : spi.make("b", {}, found);
        count.replaceChildren(text, fresh ? spi.make("span.fresh", {}, `${fresh} new`) : "", frame.compared ? spi.viewerFrame.second(frame.compared) : "");
        spi.viewer.box.toggleAttribute("data-compared", Boolean(frame.compared));
        details.replaceChildren(spi.viewerFrame.list(frame, t), spi.viewerFrame.actions(frame, t));
    },

    /** What the compared version says: nothing is not zero. */
    second({version, detector, outlines}) {
        const short = version.length > 12 ? version.split("-")[0] : version;
        return spi.make("span.second", {}, detector ? `${spi.number(outlines.length)} by ${short} (dashed)` : `not processed by ${short}`);
    },

    list(frame, t) {
        const known = (value, text) => (value === null || value === undefined ? null : text(value));
        const when = (text) => spi.time.stamp(Date.parse(text) / 1000) + ` (${spi.time.label(Date.parse(text) / 1000)})`;
        const place = frame.lat === null ? null : `${frame.lat.toFixed(5)}, ${frame.lng.toFixed(5)}` + (frame.swapped ? " (the trap had exchanged them)" : "");
        const lines = {
            Trap: spi.viewerFrame.name(), Device: frame.device, Taken: `${spi.time.stamp(t)} (${spi.time.label(t)})`,
            Temperature: known(frame.temp, (value) => `${value.toFixed(1)} °C`) || "not measured",
            Humidity: known(frame.hum, (value) => `${value.toFixed(0)} %`) || "not measured",
            Light: known(frame.lum, (value) => value.toFixed(2)) || "not measured",
            Battery: known(frame.bat, (value) => `${value} %`), Position: place || "no GPS",
            Altitude: known(frame.alt, (value) => `${value} m`), "By button": frame.button ? "yes" : null,
            Uploaded: when(frame.uploaded) + (frame.uploader ? ` by ${frame.uploader}` : ""),
            Size: `${frame.width} × ${frame.height} px`, "Device version": frame.camera, MD5: frame.md5,
            Detector: frame.detector ? `${frame.detector.name} ${frame.detector.version}` : "not processed yet",
            Detected: frame.detector ? when(frame.detector.at) : null,
        };
        return spi.make("dl", {}, Object.entries(lines).filter(([, text]) => text).flatMap(([name, text]) =>
            [spi.make("dt", {}, name), spi.make("dd", {}, text)]));
    },

    actions(frame, t) {
        const {make, icon} = spi, original = spi.stage.url(frame.device, t, "original");
        const copy = (text, what, said) => {
            const button = make("button.outline", {type: "button"}, [icon("copy"), what]);
            button.addEventListener("click", () => spi.copy(text(), said));
            return button;
        };
        return make("div.actions", {}, [
            copy(() => frame.id, "Copy image id", "Image id copied."),
            copy(() => location.href, "Copy link", "Link copied."),
            make("a.outline", {href: original, download: `${frame.id}.jpg`}, [icon("download"), "Download original"]),
            make("a.outline", {href: original, target: "_blank", rel: "noopener"}, [icon("open"), "Open original"]),
        ]);
    },
};
