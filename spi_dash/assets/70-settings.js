/* Settings: dialogs that the server describes (data-dialog), and actions that it is asked to do. */
"use strict";
spi.settings = {
    LONGEST_MS: 60_000, LONGEST_SLOW_MS: 900_000,
    count: 0,
    waiting: new Map(),
    turns: new Map(),
    asked: new Map(),

    /** Whose stores carry questions and answers: those of the page that is open. */
    page: () => document.querySelector("[data-actions]")?.dataset.actions || "settings",

    /**
     * Ask the server to do something; resolves with its answer, {error} when it was refused. One after the other: of two
     * questions in one store Dash asks the second one only, or drops the first one's answer. What is slow has its own.
     */
    act(action, values, {slow = false} = {}) {
        const channel = spi.settings.page() + (slow ? "-slow" : "");
        const turn = (spi.settings.turns.get(channel) || Promise.resolve()).then(() =>
            spi.settings.ask(channel, action, values, slow ? spi.settings.LONGEST_SLOW_MS : spi.settings.LONGEST_MS));
        spi.settings.turns.set(channel, turn);
        return turn;
    },

    ask(channel, action, values, longest) {
        const n = ++spi.settings.count;
        return new Promise((resolve) => {
            const end = (answer) => {
                clearTimeout(timer);
                spi.settings.waiting.delete(n);
                resolve(answer);
                setTimeout(() => { if (spi.settings.asked.get(channel) === n) spi.settings.forget(channel, "request"); });
            };
            const timer = setTimeout(end, longest, {error: "The server does not answer. Please try again.", field: ""});
            spi.settings.waiting.set(n, end);
            spi.settings.asked.set(channel, n);
            dash_clientside.set_props(`${channel}-request`, {data: {n, channel, action, values}});
        });
    },

    /** Passwords do not stay in the page's memory. */
    forget(channel, part) {
        if (channel.replace(/-slow$/, "") === spi.settings.page()) dash_clientside.set_props(`${channel}-${part}`, {data: null});
    },

    /** Have sections of the open page drawn again. Each has its own store: a later change of another one drops nothing. */
    redraw(sections) {
        for (const each of sections)
            dash_clientside.set_props(`${spi.settings.page()}-${each}-changed`, {data: ++spi.settings.count});
    },

    /** A button that does it at once. */
    async press(button) {
        const {action, values, slow} = JSON.parse(button.dataset.act);
        button.disabled = true;
        document.body.classList.add("is-loading");
        const answer = await spi.settings.act(action, values, {slow});
        document.body.classList.remove("is-loading");
        button.disabled = false;
        if (answer.error) spi.toast.show(answer.error, answer.id);
    },
};

spi.settings.watch = {
    EVERY_MS: 10_000,

    /** The queue moves while somebody looks at it; not under a pointer, a focus or an open list. */
    look() {
        const section = document.querySelector("#settings-detector .settings-section");
        if (!section || document.hidden || spi.session.leaving || document.querySelector("dialog[open]")) return;
        if (section.matches(":hover, :focus-within")) return;
        spi.settings.redraw(["detector"]);
    },
};
setInterval(spi.settings.watch.look, spi.settings.watch.EVERY_MS);

dash_clientside.settings = {
    /** An answer to who waits for it. */
    answered(answer) {
        if (!answer || !answer.n) return;
        spi.settings.waiting.get(answer.n)?.(answer);
        if (answer.go) location.assign(answer.go);
        if (answer.said) spi.toast.show(answer.said, "", "quiet");
        setTimeout(() => {
            spi.settings.forget(answer.channel, "answer");
            spi.settings.redraw(answer.changes || []);
        });
    },

    drawn() {
        document.body.classList.remove("is-loading");
        return dash_clientside.no_update;
    },
};

spi.dialog = {
    /** Open a dialog as the server describes it: {action, title, verb, says, danger, fields, values}. */
    open(what) {
        const dialog = spi.make("dialog.ask", {"aria-labelledby": "ask-title"});
        const form = spi.make("form", {method: "dialog", novalidate: ""});
        const title = spi.make("h2", {id: "ask-title"}, what.title);
        const problem = spi.make("p.problem", {role: "alert", hidden: ""});
        const cancel = spi.make("button.outline", {type: "button"}, "Cancel");
        const verb = spi.make(`button.filled${what.danger ? ".danger" : ""}`, {type: "submit"}, what.verb);
        const progress = spi.make("p.progress", {role: "status", hidden: ""});
        // Password managers want to know whose password it is.
        const whose = spi.make("input", {type: "text", name: "whose", autocomplete: "username", hidden: ""});
        whose.value = what.values.username || "";
        form.append(title, ...(what.says ? [spi.make("p", {}, what.says)] : []), whose,
            ...what.fields.map(spi.field.make), problem, progress, spi.make("div.ask-tools", {}, [cancel, verb]));
        dialog.append(form);
        document.body.append(dialog);
        const back = document.activeElement;
        const close = () => { dialog.spiStopped = true; dialog.close(); };
        cancel.addEventListener("click", close);
        dialog.addEventListener("cancel", () => { dialog.spiStopped = true; });
        dialog.addEventListener("close", () => { spi.dialog.remove(dialog); spi.dialog.focusAgain(back); });
        form.addEventListener("submit", (event) => { event.preventDefault(); spi.dialog.send(dialog, what); });
        dialog.showModal();
        (form.querySelector(".ask-field input:not([type=radio])") || (what.danger ? cancel : verb)).focus();
        return dialog;
    },

    /** Away with it, but not with the toast that was shown above it. */
    remove(dialog) {
        const toast = dialog.querySelector(".toast");
        if (toast) document.body.append(toast);
        dialog.remove();
    },

    /** The button that opened it may have been drawn anew. */
    focusAgain(back) {
        const label = back?.getAttribute?.("aria-label");
        const target = back?.isConnected ? back : label && document.querySelector(`[aria-label="${CSS.escape(label)}"]`);
        (target || document.querySelector("main")).focus();
    },

    /** Send the form; the answer closes the dialog, or says what is wrong. */
    async send(dialog, what) {
        const form = dialog.querySelector("form");
        if (form.classList.contains("busy") || !spi.dialog.isComplete(form, what)) return;
        spi.dialog.setBusy(form, true);
        const values = {...what.values, ...spi.dialog.values(form, what)};
        const answer = what.action === "upload_bundle"
            ? await spi.upload.run(dialog, values) : await spi.settings.act(what.action, values);
        spi.dialog.setBusy(form, false);
        if (answer.error) return spi.dialog.refuse(form, answer);
        dialog.close();
        if (answer.secret) spi.dialog.tell(answer.secret);
    },

    values(form, what) {
        const data = new FormData(form);
        return Object.fromEntries(what.fields.filter((field) => field.kind !== "folder")
            .map((field) => [field.name, data.get(field.name) || ""]));
    },

    isComplete(form, what) {
        for (const box of form.querySelectorAll(".ask-field")) spi.field.say(box, "");
        for (const field of what.fields) {
            const input = form.elements[field.name];
            if (!field.required || input.value) continue;
            spi.dialog.refuse(form, {error: "This is needed.", field: field.name});
            return false;
        }
        return true;
    },

    refuse(form, {error, field, id}) {
        const box = field && form.querySelector(`.ask-field[data-name="${CSS.escape(field)}"]`);
        const problem = form.querySelector(":scope > .problem");
        problem.hidden = Boolean(box);
        problem.textContent = box ? "" : error + (id ? ` (request ${id})` : "");
        if (!box) return;
        spi.field.say(box, error);
        box.querySelector("input").focus();
    },

    setBusy(form, busy) {
        form.classList.toggle("busy", busy);
        form.querySelector("[type=submit]").disabled = busy;
        form.querySelector(":scope > .problem").hidden = true;
    },

    /** Something that is shown once. */
    tell({title, value, says}) {
        const dialog = spi.make("dialog.ask", {"aria-labelledby": "ask-title"});
        const copy = spi.make("button.outline", {type: "button"}, [spi.icon("copy"), "Copy"]);
        copy.addEventListener("click", () => spi.dialog.copy(value, copy));
        const done = spi.make("button.filled", {type: "button"}, "Done");
        done.addEventListener("click", () => dialog.close());
        dialog.addEventListener("close", () => spi.dialog.remove(dialog));
        dialog.append(spi.make("h2", {id: "ask-title"}, title), spi.make("p", {}, says),
            spi.make("div.secret", {}, [spi.make("code", {}, value), copy]), spi.make("div.ask-tools", {}, [done]));
        document.body.append(dialog);
        dialog.showModal();
        done.focus();
    },

    async copy(value, button) {
        try {
            await navigator.clipboard.writeText(value);
            button.lastChild.textContent = "Copied";
        } catch { // pages without https may not
            getSelection().selectAllChildren(button.previousSibling);
            button.lastChild.textContent = "Marked: press Ctrl+C";
        }
    },
};

document.addEventListener("click", (event) => {
    const ask = event.target.closest("[data-dialog]"), press = event.target.closest("[data-act]");
    const page = event.target.closest("[data-log-before]");
    if (ask) {
        const menu = ask.closest("details.drop");
        if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
        spi.dialog.open(JSON.parse(ask.dataset.dialog));
    }
    if (press) spi.settings.press(press);
    if (page) dash_clientside.set_props("settings-log-before", {data: Number(page.dataset.logBefore) || null});
});
