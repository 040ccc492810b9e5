// Sorting by a column's head, and everything unfolded on paper. Without this script the page lacks only these two.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const number = (row) => (row.cells[column].dataset.v === undefined ? NaN : Number(row.cells[column].dataset.v));
      const word = (row) => row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [number(a), number(b)];
        if (Number.isNaN(x) && Number.isNaN(y)) return (down ? -1 : 1) * word(a).localeCompare(word(b));
        // What is no number stays at the end.
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        return down ? y - x : x - y;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.open = true;
    part.dataset.shut = "";
  }
});
addEventListener("afterprint", () => {
  for (const part of document.querySelectorAll("details[data-shut]")) {
    part.open = false;
    delete part.dataset.shut;
  }
});
