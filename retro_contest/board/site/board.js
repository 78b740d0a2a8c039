// Sorts tables by a column, filters their rows, hides the references. Pages work without it.
"use strict";

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = parseFloat(text.replaceAll(",", ""));
  return /^[+-]?[\d,.]+( of [\d,]+)?$/.test(text) ? number : text.toLowerCase();
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [value(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // empty cells last
    const order = typeof a === "number" && typeof b === "number" ? a - b : a < b ? -1 : +(a > b);
    return descending ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if ("nosort" in head.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("n") && head.textContent.trim() !== "rank";
      const known = head.getAttribute("aria-sort");
      const descending = known ? known === "ascending" : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, column, descending);
    });
  });
}

function show(table) {
  const words = (document.querySelector(`[data-filter="${table.id}"]`)?.value ?? "").toLowerCase();
  const references = document.querySelector(`[data-references="${table.id}"]`)?.checked ?? true;
  for (const row of table.tBodies[0].rows) {
    const matches = row.cells[1].textContent.toLowerCase().includes(words);
    row.hidden = !matches || (row.classList.contains("reference") && !references);
  }
}

// For a part of the page that has just come.
function equip(part) {
  part.querySelectorAll("table.sortable").forEach(makeSortable);
  for (const input of part.querySelectorAll("[data-filter], [data-references]")) {
    const table = document.getElementById(input.dataset.filter ?? input.dataset.references);
    input.addEventListener("input", () => show(table));
  }
}

equip(document);
