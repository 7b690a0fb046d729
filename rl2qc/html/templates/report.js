"use strict";
(() => {
  // A button in each head of a column; act(column, 1 or -1) sorts.
  const heads = (table, act) => {
    const cells = [...table.tHead.rows[0].cells];
    cells.forEach((head, i) => {
      if (head.hasAttribute("data-still")) return;
      const button = document.createElement("button");
      button.type = "button"; button.className = "sort";
      button.append(...head.childNodes); head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
        act(i, turn);
      });
    });
  };
  // Numbers as numbers; what is not known comes last either way.
  const sorted = (items, value, turn) => {
    const known = items.map(item => [value(item), item]);
    const numbers = known.every(([text]) => text === "" || Number.isFinite(Number(text)));
    return known.sort(([a], [b]) => (a === "") - (b === "") || turn * (numbers ? a - b :
      String(a).localeCompare(String(b), undefined, {numeric: true}))).map(([, item]) => item);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    heads(table, (i, turn) => body.append(...sorted([...body.rows],
      row => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim(), turn)));
  }

  const list = document.getElementById("rejected");
  if (!list) return;
  const at = id => document.getElementById(id), body = at("places").tBodies[0];
  const lines = id => at(id).textContent.split("\n").filter(Boolean).map(line => line.split("\t"));
  const slides = lines("list-slides"), reasons = lines("list-reasons").flat();
  let tiles = lines("list-tiles"), most = 0;
  const option = (select, name, value) => select.append(new Option(name, value));
  slides.forEach(([name], i) => option(at("of-slide"), name, i));
  reasons.forEach((name, i) => option(at("of-reason"), name, i));
  const cell = (row, content) => { row.insertCell().append(content); };
  const show = more => {
    most = more ? most + 500 : 50;
    const [slide, reason] = [at("of-slide").value, at("of-reason").value];
    const found = tiles.filter(one => (!slide || one[0] === slide) && (!reason || one[1] === reason));
    body.replaceChildren();
    for (const [of, why, p, place] of found.slice(0, most)) {
      const row = body.insertRow(), [name, address] = slides[of];
      if (address) {
        const link = document.createElement("a");
        link.href = address; link.textContent = name; cell(row, link);
      } else cell(row, name);
      cell(row, place); cell(row, p); cell(row, reasons[why]);
    }
    at("how-many").textContent = `${Math.min(most, found.length)} of ${found.length} shown`;
    at("more").hidden = found.length <= most;
  };
  const column = [one => slides[one[0]][0], one => one[3], one => one[2], one => reasons[one[1]]];
  heads(at("places"), (i, turn) => { tiles = sorted(tiles, column[i], turn); show(false); });
  for (const id of ["of-slide", "of-reason"]) at(id).addEventListener("change", () => show(false));
  at("more").addEventListener("click", () => show(true));
  document.addEventListener("click", event => {
    const name = event.target.closest?.("[data-rejected]")?.dataset.rejected;
    if (name === undefined) return;
    list.open = true;
    const number = slides.findIndex(one => one[0] === name);
    at("of-slide").value = number < 0 ? "" : number; at("of-reason").value = "";
    show(false);
  });
  show(false);
  document.documentElement.dataset.ready = "yes";
})();
