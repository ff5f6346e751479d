"use strict";
// Sorts and filters the table of students. Without script it is a plain table.
(() => {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const input = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const heads = [...table.tHead.rows[0].cells];
  const keys = heads.map((head) => head.dataset.key.toLowerCase());
  const rows = [...body.rows].map((row) => {
    const cells = [...row.cells].map((cell) => cell.textContent.trim());
    return { row, cells, text: cells.join(" ").toLowerCase(), notes: cells[cells.length - 1].split(" ") };
  });
  const words = new Set(["flag", "late", "overridden", "waiting", "unreadable", "not-submitted"]);
  const compare = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function conditions(text) {
    const found = [];
    const unknown = [];
    const rest = text.toLowerCase().replace(/([^\s<>=!]+)\s*(<=|>=|!=|=|<|>)\s*(-?\d+(?:\.\d+)?)/g, (_, key, sign, number) => {
      const place = keys.indexOf(key);
      if (place < 0) unknown.push(key);
      else found.push(({ cells }) => cells[place] !== "" && compare[sign](Number(cells[place]), Number(number)));
      return " ";
    });
    for (const word of rest.split(/[\s,]+/)) {
      if (word === "" || word === "and") continue;
      found.push(words.has(word) ? ({ notes }) => notes.includes(word) : (one) => one.text.includes(word));
    }
    return { found, unknown };
  }

  function filter() {
    const { found, unknown } = conditions(input.value);
    let count = 0;
    for (const one of rows) {
      const fits = unknown.length === 0 && found.every((condition) => condition(one));
      one.row.hidden = !fits;
      count += fits;
    }
    shown.textContent = unknown.length ? `There is no column ${unknown.join(", ")}.` : `${count} of ${rows.length} students`;
  }

  function sort(place) {
    const up = heads[place].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head, i) => (i === place ? head.setAttribute("aria-sort", up ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    rows.sort((a, b) => {
      const [x, y] = [a.cells[place], b.cells[place]];
      if (x === "" || y === "") return (x === "") - (y === "");  // what is empty stays last
      const order = Number(x) - Number(y);
      return (up ? 1 : -1) * (Number.isNaN(order) ? collator.compare(x, y) : order);
    });
    body.append(...rows.map(({ row }) => row));
  }

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(place));
    head.append(button);
  });
  input.addEventListener("input", filter);
  document.getElementById("finder").hidden = false;
  filter();
})();
