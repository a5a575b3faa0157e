/* The table of pictures: times in the reader's zone, rows that open the viewer, links that carry filters and order. */
"use strict";
spi.data = {
    EMPTY: "\u2013",

    grid: () => (document.getElementById("data-grid") ? dash_ag_grid.getApi("data-grid") : null),
    ready: () => dash_ag_grid.getApiAsync("data-grid"),
    here: () => document.querySelector(".data-page"),

    /** The viewer over the page; keys and clicks that mean something else are left alone. */
    open(row) {
        if (row) spi.viewer.open(row.device, row.time);
    },

    address: (row) => `/image/${encodeURIComponent(row.device)}/${spi.time.legacy(row.time)}${location.search}`,

    /** Where a file of what the table shows comes from. */
    download(file) {
        const grid = spi.data.grid(), query = new URLSearchParams(location.search);
        if (grid && file !== "data-dictionary.md") {
            const sorted = grid.getColumnState().filter((each) => each.sort).sort((a, b) => a.sortIndex - b.sortIndex);
            if (sorted.length) query.set("sort", sorted.map((each) => `${each.colId}:${each.sort}`).join(","));
            const filter = grid.getFilterModel();
            if (Object.keys(filter).length) query.set("filter", JSON.stringify(filter));
            if (spi.time.zone === "reader") query.set("tz", Intl.DateTimeFormat().resolvedOptions().timeZone);
        }
        return `/download/${file}?${query}`;
    },

    /** By fetch, except where the reader asks for another tab, or for the small file that needs no patience. */
    take(link, event) {
        const file = link.dataset.file, grid = spi.data.grid();
        if (file === "data-dictionary.md" || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        const rows = file === "images.csv" && grid && grid.isLastRowIndexKnown() ? grid.getDisplayedRowCount() : null;
        spi.downloads.take(link.href, {name: link.querySelector("b").textContent, rows});
    },
};

dash_clientside.data = {
    /** Other rows: from the top. The same rows, and some that are new: where the reader is. */
    reload(scope) {
        if (!scope || !spi.data.grid()) return dash_clientside.no_update;
        const grid = spi.data.grid();
        scope.since ? grid.refreshInfiniteCache() : grid.purgeInfiniteCache();
        return dash_clientside.no_update;
    },

    async zone(resolved) {
        if (!resolved || !spi.data.here()) return dash_clientside.no_update;
        spi.time.use(resolved);
        const grid = await spi.data.ready();
        grid.refreshHeader();
        grid.refreshCells({force: true});
        return dash_clientside.no_update;
    },

    done(summary) {
        if (summary) document.body.classList.remove("is-loading");
        spi.time.sayDays();
        return dash_clientside.no_update;
    },

    async columns(chosen) {
        if (!chosen) return dash_clientside.no_update;
        const grid = await spi.data.ready();
        const all = grid.getColumns().map((column) => column.getColId());
        grid.setColumnsVisible(all.filter((key) => !chosen.includes(key)), false);
        grid.setColumnsVisible(chosen, true);
        return dash_clientside.no_update;
    },
};

window.dashAgGridFunctions = Object.assign(window.dashAgGridFunctions || {}, {
    /** The server filters: a test of our own only has a name. */
    spiFilter(kind) {
        const params = {buttons: ["reset"], debounceMs: 500}, test = {numberOfInputs: 0, predicate: () => true};
        if (kind === "number") params.defaultOption = "greaterThanOrEqual";
        if (kind === "flag") {
            params.filterOptions = ["empty", {...test, displayKey: "isTrue", displayName: "Yes"}, {...test, displayKey: "isFalse", displayName: "No"}];
            params.maxNumConditions = 1;
        }
        return params;
    },

    spiTheme: (theme) => theme.withParams({
        backgroundColor: "var(--paper)", foregroundColor: "var(--ink)", headerTextColor: "var(--ink)", borderColor: "var(--line)",
        headerBackgroundColor: "var(--wash)", chromeBackgroundColor: "var(--wash)", accentColor: "var(--accent)",
        rowHoverColor: "var(--accent-wash)", oddRowBackgroundColor: "var(--paper)", fontFamily: "var(--font)",
        fontSize: 13, headerFontSize: 12, headerFontWeight: 600, cellHorizontalPadding: 10, spacing: 6,
        wrapperBorder: false, wrapperBorderRadius: 0, borderRadius: 4, browserColorScheme: "inherit",
    }),

    spiTimeHeader(params) {
        const name = params.colDef.headerName, resolved = spi.scope.resolved;
        return resolved ? `${name} (${spi.time.labels(resolved.start, resolved.end)})` : name;
    },

    /** Nothing known is a dash, in every column: it is not zero. */
    spiValue(params, digits) {
        const {value, data} = params;
        if (!data) return "";
        if (value === null || value === undefined || value === "") return spi.data.EMPTY;
        if (typeof value === "boolean") return value ? "yes" : "no";
        return typeof value === "number" && digits ? value.toFixed(digits) : String(value);
    },

    spiOpen(params) {
        const pressed = params.event;
        if (pressed.ctrlKey || pressed.metaKey || pressed.shiftKey || String(getSelection())) return;
        spi.data.open(params.data);
    },

    spiOpenByKey(params) {
        if (params.event.key === "Enter") spi.data.open(params.data);
    },

    /** Other rows are on their way, until the first of them is there. */
    spiAsked: () => document.body.classList.add("is-loading"),
    spiAnswered({api}) {
        const first = api.getDisplayedRowAtIndex(0);
        if (!first || first.data) document.body.classList.remove("is-loading");
    },
});

window.dashAgGridComponentFunctions = Object.assign(window.dashAgGridComponentFunctions || {}, {
    /** When the picture was taken is a link to it; other times are text. */
    SpiMoment({value, data, column}) {
        if (!data) return "";
        if (value === null || value === undefined) return spi.data.EMPTY;
        const text = spi.time.stamp(value);
        const title = `${text} (${spi.time.label(value)})`;
        if (column.getColId() !== "time") return React.createElement("span", {title}, text);
        const stay = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.preventDefault();
        return React.createElement("a", {href: spi.data.address(data), onClick: stay, tabIndex: -1, title}, text);
    },
});

/* In the capture phase: the address is right before the browser follows it. */
document.addEventListener("click", (event) => {
    const link = event.target.closest("a.download"), clear = event.target.closest(".clear-filters");
    if (link) {
        link.href = spi.data.download(link.dataset.file);
        link.closest("details").open = false;
        spi.data.take(link, event);
    }
    if (clear) spi.data.grid().setFilterModel(null);
}, true);
