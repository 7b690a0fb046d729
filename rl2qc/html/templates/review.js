"use strict";
(() => {
  const root = document.documentElement, about = document.getElementById("about").dataset;
  const tiles = [...document.querySelectorAll(".tile")], grid = document.getElementById("tiles");
  const at = id => document.getElementById(id), key = "rl2qc review " + about.digest;
  const marks = new Map(), done = [];
  let shown = tiles, current = 0;
  const remember = () => {
    try { localStorage.setItem(key, JSON.stringify([...marks])); } catch (error) { /* private */ }
  };
  const paint = tile => { tile.dataset.mark = marks.get(tile.id) || ""; };
  const tell = () => {
    const said = [...marks.values()], bad = said.filter(one => one === "bad").length;
    at("progress").textContent = `${said.length} of ${tiles.length} tiles marked: ` +
      `${bad} bad, ${said.length - bad} clean; ${shown.length} shown`;
    at("bar").value = said.length;
    at("undo").disabled = !done.length;
    at("save").disabled = !said.length;
  };
  const mark = (tile, what, back = false) => {
    const before = marks.get(tile.id) || "";
    if (!back) done.push([tile.id, before]);
    if (what) marks.set(tile.id, what); else marks.delete(tile.id);
    paint(tile); remember(); tell();
  };
  const undo = () => {
    const last = done.pop();
    if (!last) return;
    mark(at(last[0]), last[1], true);
    go(shown.indexOf(at(last[0])));
  };
  const go = to => {
    if (!shown.length) return;
    current = Math.min(Math.max(to, 0), shown.length - 1);
    shown[current].focus();
    if (at("zoom").open) look();
  };
  const look = () => {
    const tile = shown[current], box = at("zoom");
    const large = tile.querySelectorAll(".large");
    at("large").replaceChildren(...[...(large.length ? large : tile.querySelectorAll("img"))].map(one => {
      const copy = one.cloneNode(); copy.loading = "eager"; return copy;
    }));
    at("what").textContent = tile.querySelector("figcaption").textContent;
    if (!box.open) box.showModal();
  };
  const arrange = () => {
    const slide = at("slide").value, reason = at("reason").value, state = at("state").value;
    shown = tiles.filter(tile => (!slide || tile.dataset.slide === slide) &&
      (!reason || tile.dataset.reason === reason) &&
      (!state || (state === "marked" ? marks.has(tile.id) : state === "unmarked" ?
        !marks.has(tile.id) : tile.dataset.state === state)));
    const near = at("order").value === "near";
    shown.sort((a, b) => near ? a.dataset.near - b.dataset.near : a.dataset.rank - b.dataset.rank);
    for (const tile of tiles) tile.hidden = true;
    for (const tile of shown) { tile.hidden = false; grid.append(tile); }
    current = 0; tell();
  };
  const cell = text => /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  const list = () => ["slide,x,y,file,label", ...tiles.filter(tile => marks.has(tile.id)).map(
    tile => [tile.dataset.slide, tile.dataset.x, tile.dataset.y, tile.dataset.file,
             marks.get(tile.id)].map(cell).join(","))].join("\r\n") + "\r\n";
  const save = async () => {
    if (about.served) {
      try {
        const answer = await fetch("corrections.csv" + location.search, {method: "PUT", body: list()});
        at("saved").textContent = await answer.text();
      } catch (error) { at("saved").textContent = "not saved: the server is gone; it is kept here"; }
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([list()], {type: "text/csv"}));
    link.download = about.saved;
    link.click();
    at("saved").textContent = `saved as ${about.saved}: ${about.command}`;
  };
  const keys = {
    c: () => mark(shown[current], "clean"), b: () => mark(shown[current], "bad"),
    x: () => mark(shown[current], ""), u: undo, z: () => at("zoom").open ? at("zoom").close() : look(),
    ArrowRight: () => go(current + 1), ArrowLeft: () => go(current - 1), s: save,
  };
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || /SELECT|INPUT/.test(event.target.tagName)) return;
    const action = keys[event.key];
    if (!action || (!shown.length && event.key !== "u")) return;
    event.preventDefault(); action();
    if ((event.key === "c" || event.key === "b") && current + 1 < shown.length) go(current + 1);
  });
  grid.addEventListener("click", event => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    current = shown.indexOf(tile);
    const what = event.target.dataset.what;
    if (what) mark(tile, marks.get(tile.id) === what ? "" : what); else look();
  });
  grid.addEventListener("focusin", event => {
    const tile = event.target.closest(".tile");
    if (tile) current = shown.indexOf(tile);
  });
  for (const id of ["slide", "reason", "state", "order"]) at(id).addEventListener("change", arrange);
  at("undo").addEventListener("click", undo);
  at("save").addEventListener("click", save);
  at("close").addEventListener("click", () => at("zoom").close());
  try {
    for (const [id, what] of JSON.parse(localStorage.getItem(key) || "[]")) {
      if (at(id)) marks.set(id, what);
    }
  } catch (error) { /* nothing of before */ }
  tiles.forEach(paint); arrange();
  root.dataset.ready = "yes";
})();
