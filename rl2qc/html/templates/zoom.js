"use strict";
(() => {
  // Every picture enlarges on click and key; a larger file beside the page is one click further.
  const box = document.createElement("dialog"), close = document.createElement("button");
  const shown = document.createElement("img"), what = document.createElement("p");
  box.id = "enlarged"; close.type = "button"; close.textContent = "close";
  box.append(shown, what, close); document.body.append(box);
  close.addEventListener("click", () => box.close());
  box.addEventListener("click", event => { if (event.target === box) box.close(); });
  const open = image => {
    shown.src = image.src; shown.alt = image.alt;
    shown.width = image.width; shown.height = image.height;
    // As large as the window lets it be, small tiles by four times at most.
    const sides = [image.getAttribute("width"), image.getAttribute("height")].map(Number);
    const fits = Math.max(.8 * innerHeight / sides[1], image.clientWidth / sides[0]);
    // One that is wider than the window already is scrolled, and shown as large as it is.
    const times = image.clientWidth > innerWidth ? Math.max(1, image.clientWidth / sides[0]) :
      Math.min(4, .94 * innerWidth / sides[0], fits);
    shown.style.width = `${Math.round(times * sides[0])}px`;
    const caption = image.closest("figure")?.querySelector("figcaption");
    what.textContent = caption ? caption.innerText : image.alt;
    const address = image.closest("a")?.getAttribute("href");
    if (address) {
      const link = document.createElement("a");
      link.href = address; link.textContent = "all of it"; what.append(" ", link);
    }
    box.showModal();
  };
  for (const image of document.querySelectorAll("img")) {
    if (image === shown) continue;
    image.classList.add("zooms");
    if (!image.closest("a")) { image.tabIndex = 0; image.setAttribute("role", "button"); }
  }
  document.addEventListener("click", event => {
    const image = event.target.closest?.("a.large")?.querySelector("img") || event.target;
    if (!image.matches?.("img.zooms") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault(); open(image);
  });
  document.addEventListener("keydown", event => {
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("img.zooms")) {
      event.preventDefault(); open(event.target);
    }
  });
})();
