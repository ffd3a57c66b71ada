"use strict";
// Tables: a click on a header sorts by its column, a second one the other way round.
for (const table of document.querySelectorAll("table")) {
  const headers = [...table.tHead.rows[0].cells];
  // A number that is missing, or a row that is too short, has no key and stays at the end.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell || cell.dataset.sort === "") return null;
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const compare = (first, second) =>
    typeof first === "number" && typeof second === "number"
      ? first - second
      : String(first).localeCompare(String(second), undefined, { numeric: true });
  headers.forEach((header, column) => {
    // Where a screen is narrow, a wide table shows its headers before its cells.
    for (const row of table.tBodies[0].rows) row.cells[column]?.setAttribute("data-header", header.textContent);
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((other) => other.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
      rows.sort(([first], [second]) =>
        first === null || second === null
          ? (first === null) - (second === null)
          : sign * compare(first, second));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Figures: each can be saved as it would be printed.
const plots = [...document.querySelectorAll(".js-plotly-plot")];
// Each was drawn before the figures beside it took a part of its width.
plots.forEach((plot) => Plotly.Plots.resize(plot));
for (const button of document.querySelectorAll("button[data-save]")) {
  button.addEventListener("click", () => {
    const plot = document.getElementById(button.dataset.plot);
    const format = button.dataset.save;
    Plotly.downloadImage(plot, {
      format,
      filename: plot.id,
      width: Math.max(600, plot.offsetWidth),
      height: plot.offsetHeight,
      scale: format === "png" ? 3 : 1,
    });
  });
}

// Paper has its own width. Folded parts stay folded: they are in files beside the page.
addEventListener("beforeprint", () => {
  plots.forEach((plot) => Plotly.relayout(plot, { width: plot.closest(".plots") ? 330 : 670 }));
});
addEventListener("afterprint", () => {
  plots.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
});
