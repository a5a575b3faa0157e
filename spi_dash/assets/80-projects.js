/* A project's table: cells are stored as they are typed, what is refused is marked; rows come in from CSV. */
"use strict";
spi.project = {
    here: () => document.querySelector(".project-page"),
    id: () => Number(spi.project.here().dataset.project),

    /** A cell that was changed: stored, or marked with the reason. Cells that are marked are not stored. */
    async store({data, column, api, node, newValue}) {
        const field = column.getColId(), row = {id: data.id, [field]: newValue};
        const dates = ["start_datetime", "end_datetime"];
        // One date may only fit once the other one is right: both are sent while one of them is marked.
        if (dates.includes(field) && dates.some((name) => data["#problems"]?.[name]))
            for (const name of dates) row[name] = data[name];
        const answer = await spi.settings.act("save_row", {project_id: spi.project.id(), row});
        const problems = (data["#problems"] = {...data["#problems"]}); // no column can have this name
        for (const name of Object.keys(row)) delete problems[name];
        if (answer.address) data["#address"] = answer.address;
        if (answer.error) problems[answer.field in data ? answer.field : field] = answer.error;
        if (answer.error) spi.toast.show(`Not saved: ${answer.error}`, answer.id);
        api.refreshCells({rowNodes: [node], force: true});
    },

    selected: () => dash_ag_grid.getApi("project-grid").getSelectedRows(),

    deleteRows() {
        const rows = spi.project.selected(), words = rows.length === 1 ? "1 row" : `${rows.length} rows`;
        spi.dialog.open({action: "delete_rows", title: `Delete ${words}?`, verb: `Delete ${words}`, danger: true, fields: [],
            says: "They are gone for good. Pictures stay.", values: {project_id: spi.project.id(), ids: rows.map((row) => row.id)}});
    },

    /** Choose a file, see what is wrong with it, store all of it or nothing. */
    async importCsv() {
        const input = spi.make("input", {type: "file", accept: ".csv,text/csv", hidden: ""});
        input.className = "project-file";
        input.addEventListener("cancel", () => input.remove());
        input.addEventListener("change", async () => {
            const csv = await input.files[0].text(), name = input.files[0].name;
            input.remove();
            const values = {project_id: spi.project.id(), csv};
            const found = await spi.settings.act("check_import", values);
            if (found.error) return spi.toast.show(found.error, found.id);
            found.problems.length ? spi.project.showProblems(name, found) : spi.project.confirmImport(name, found, values);
        });
        document.body.append(input);
        input.click();
    },

    confirmImport(name, {n_rows: count}, values) {
        const words = count === 1 ? "1 row" : `${count} rows`;
        spi.dialog.open({action: "import_rows", title: `Import ${name}`, verb: `Import ${words}`, fields: [], values,
            says: `${words}, nothing wrong with them. Rows with an id replace those that are there.`});
    },

    showProblems(name, {problems}) {
        const dialog = spi.make("dialog.ask", {"aria-labelledby": "ask-title"});
        const close = spi.make("button.filled", {type: "button"}, "Close");
        close.addEventListener("click", () => dialog.close());
        dialog.addEventListener("close", () => spi.dialog.remove(dialog));
        const lines = problems.map(({line, field, text}) => spi.make("li", {}, `Line ${line}, ${field}: ${text}`));
        dialog.append(spi.make("h2", {id: "ask-title"}, `Nothing was imported from ${name}`),
            spi.make("p", {}, "Correct these lines, then import the file again."),
            spi.make("ul.csv-problems", {tabindex: "0"}, lines), spi.make("div.ask-tools", {}, [close]));
        document.body.append(dialog);
        dialog.showModal();
        close.focus();
    },
};

window.dashAgGridFunctions = Object.assign(window.dashAgGridFunctions || {}, {
    spiProjectEdited: (params) => { spi.project.store(params); },
    spiProjectWrong: ({data, colDef}) => data?.["#problems"]?.[colDef.field] || "",
    spiProjectSelected({api}) {
        const button = document.querySelector(".project-delete-rows");
        if (button) button.disabled = !api.getSelectedRows().length;
    },
});

window.dashAgGridComponentFunctions = Object.assign(window.dashAgGridComponentFunctions || {}, {
    /** To the pictures of a row, as it is stored. */
    SpiSeriesLink: ({value, data}) => (value ? React.createElement("a", {href: value, title: `Pictures of ${data.device} in these dates`}, "Show pictures") : ""),
});

document.addEventListener("click", (event) => {
    if (event.target.closest(".project-import")) spi.project.importCsv();
    if (event.target.closest(".project-delete-rows")) spi.project.deleteRows();
});
