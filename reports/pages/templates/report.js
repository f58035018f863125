// Sorting and filtering; the page reads without them.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        const [p, q] = [x, y].map((text) => (text === "inf" ? Infinity : Number(text)));
        if (x === y) return 0;
        return Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
      };
      const rows = [...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
      body.append(...rows);
    });
  });

  if (body.rows.length < 6) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "words, or -word to exclude";
  const label = document.createElement("label");
  label.append("Filter rows ", field);
  const count = document.createElement("output");
  const bar = document.createElement("div");
  bar.className = "filter";
  bar.append(label, count);
  table.parentElement.before(bar);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const entries = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      const has = (word) => entries.some((entry) => entry.includes(word));
      row.hidden = !words.every((word) =>
        word.length > 1 && word[0] === "-" ? !has(word.slice(1)) : has(word)
      );
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${body.rows.length} rows` : "";
  });
}
