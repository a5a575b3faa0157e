/* Fields of the settings' dialogs, and bundles on their way to the server. */
"use strict";
spi.field = {
    make(field) {
        const makers = {choice: spi.field.choice, folder: spi.field.folder};
        const box = (makers[field.kind] || spi.field.line)(field);
        box.dataset.name = field.name;
        if (field.hint) box.append(spi.make("small", {id: `ask-${field.name}-hint`}, field.hint));
        box.append(spi.make("p.problem", {id: `ask-${field.name}-problem`, role: "alert", hidden: ""}));
        const hint = field.hint ? ` ask-${field.name}-hint` : "";
        box.querySelector("input").setAttribute("aria-describedby", `ask-${field.name}-problem${hint}`);
        return box;
    },

    line(field) {
        const attributes = {name: field.name, type: field.kind, id: `ask-${field.name}`, spellcheck: "false"};
        for (const name of ["autocomplete", "maxlength"]) if (field[name]) attributes[name] = field[name];
        if (field.required) attributes["aria-required"] = "true";
        const input = spi.make("input", attributes);
        input.value = field.value || "";
        const label = spi.make("label", {for: `ask-${field.name}`}, field.label);
        const line = field.kind === "password" ? spi.make("span.with-eye", {}, [input, spi.field.eye(input)]) : input;
        return spi.make("div.ask-field", {}, [label, line]);
    },

    eye(input) {
        const eye = spi.make("button.plain", {type: "button", "aria-pressed": "false"}, "Show");
        eye.addEventListener("click", () => {
            const shown = input.type === "password";
            input.type = shown ? "text" : "password";
            eye.setAttribute("aria-pressed", String(shown));
        });
        return eye;
    },

    choice(field) {
        const options = field.options.map(({value, label, hint}) => {
            const input = spi.make("input", {type: "radio", name: field.name, value});
            input.checked = value === field.value;
            const words = spi.make("span", {}, [label, spi.make("small", {}, hint || "")]);
            return spi.make("label.option", {}, [input, words]);
        });
        return spi.make("fieldset.ask-field", {}, [spi.make("legend", {}, field.label), ...options]);
    },

    folder(field) {
        const input = spi.make("input", {type: "file", name: field.name, id: `ask-${field.name}`, webkitdirectory: ""});
        input.addEventListener("change", () => {
            const name = input.form.elements.bundle;
            const [folder] = (input.files[0]?.webkitRelativePath || "").split("/");
            if (name && !name.value) name.value = folder;
        });
        return spi.make("div.ask-field", {}, [spi.make("label", {for: `ask-${field.name}`}, field.label), input]);
    },

    /** What is wrong with a field; "" for nothing. */
    say(box, words) {
        const problem = box.querySelector(".problem");
        problem.textContent = words;
        problem.hidden = !words;
        for (const input of box.querySelectorAll("input")) words ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid");
    },
};

spi.upload = {
    SUFFIXES: [".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db"],
    AT_ONCE: 100, // forms per question to the server

    /** The files of a chosen folder that belong into a bundle; the version comes last, it speaks of the others. */
    files(input) {
        const found = [...input.files].map((file) => ({file, path: file.webkitRelativePath.split("/").slice(1).join("/")}))
            .filter(({path}) => !path.includes(".cache/") && spi.upload.SUFFIXES.some((suffix) => path.endsWith(suffix)));
        const isVersion = ({path}) => path.endsWith(".version.txt");
        return [...found.filter((each) => !isVersion(each)), ...found.filter(isVersion)];
    },

    async run(dialog, {bundle}) {
        const form = dialog.querySelector("form"), files = spi.upload.files(form.elements.folder);
        if (!files.length) return {error: "This folder has no files of a bundle: choose the one with config, data and output.", field: "folder"};
        for (let start = 0; start < files.length; start += spi.upload.AT_ONCE) {
            const some = files.slice(start, start + spi.upload.AT_ONCE);
            const answer = await spi.settings.act("start_upload", {bundle, paths: some.map(({path}) => path)});
            if (answer.error) return answer;
            for (const [i, {file, path}] of some.entries()) {
                if (dialog.spiStopped) return spi.upload.finish(`Upload stopped after ${start + i} of ${files.length} files.`);
                spi.upload.tell(form, `${start + i + 1} of ${files.length}: ${path}`);
                const problem = await spi.upload.send(file, answer.forms[i]);
                if (problem) return {error: `${path}: ${problem}`, field: ""};
            }
        }
        return spi.upload.finish(`Uploaded ${files.length} ${files.length === 1 ? "file" : "files"} to ${bundle}.`);
    },

    tell(form, words) {
        const line = form.querySelector(".progress");
        line.hidden = false;
        line.textContent = words;
    },

    finish(words) {
        spi.toast.show(words, "", "quiet");
        spi.settings.redraw(["bundles", "log"]);
        return {};
    },

    /** One file by its signed form; what went wrong, or "". */
    async send(file, {url, fields}) {
        const body = new FormData();
        for (const [name, value] of Object.entries(fields)) body.append(name, value);
        body.append("file", file);
        try {
            const response = await fetch(url, {method: "POST", body});
            if (response.ok) return "";
            const said = await response.json().catch(() => null);
            return said?.error?.message || `the server answered ${response.status}`;
        } catch {
            return "the connection broke";
        }
    },
};
