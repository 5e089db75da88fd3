/** The machine's memory as squares that change owner, and for each guest its own pages and a slider. */
function render({ model, el }) {
  const machine = h("div", { class: "machine", role: "img" });
  const squares = Array.from({ length: model.get("moments")[0].owners.length }, () => h("span", { class: "eased" }));
  machine.append(...squares);
  const free = h("span", { class: "number" });
  const guests = model.get("guests");
  const kind = (letter) => ({ X: "xen", 0: "dom0", ".": "free" })[letter]
    ?? `guest${guests.findIndex((guest) => guest.letter === letter)}`;
  const rows = guests.map((guest, i) => {
    const slider = h("input", {
      type: "range", min: 0, max: guest.maximum, "aria-label": `Target of ${guest.name}`,
      oninput: () => { said.textContent = `target ${slider.value} MiB`; },
      onchange: () => { model.set("targets", { ...model.get("targets"), [guest.name]: Number(slider.value) }); model.save_changes(); },
    });
    const said = h("output"), has = h("span", { class: "number" });
    const pages = Array.from({ length: guest.maximum }, () => h("span"));
    const mark = h("div", { class: "mark" });
    const row = h("div", { class: "guest" },
      h("div", { class: "line" }, h("span", { class: `swatch guest${i}` }, guest.letter), h("strong", {}, guest.name), has),
      h("div", { class: "line" }, slider, said),
      h("div", { class: `pages guest${i}`, role: "img", "aria-label": `Pages of ${guest.name}` }, ...pages, mark));
    return { row, slider, said, has, pages, mark, maximum: guest.maximum, shown: "" };
  });
  const legend = h("p", { class: "legend" },
    ...[["X", "Xen"], ["0", "dom0"], ...guests.map((guest) => [guest.letter, guest.name]), [".", "free"]].map(([letter, name]) =>
      h("span", {}, h("span", { class: `swatch ${kind(letter)}` }, letter === "." ? "" : letter), name)));
  const root = h("div", { class: "xl xl-balloon", tabindex: 0, "aria-label": "Balloons in guests, batch by batch" },
    h("div", { class: "head" }, h("h3", {}, "256 MiB of machine memory"), free, h("span", { class: "gap" }),
      h("span", { class: "badge" }, "simulated")),
    h("div", { class: "halves" },
      h("div", { class: "left" }, machine, legend),
      h("div", { class: "right" }, ...rows.map((each) => each.row))));
  el.append(root);

  let shown = "";
  function draw(moment) {
    const seen = model.get("moments")[moment];
    squares.forEach((square, i) => {
      const letter = seen.owners[i];
      if (letter === shown[i]) return; // most squares stay whose they are
      square.className = `eased ${kind(letter)}`;
      square.textContent = letter === "." ? "" : letter;
    });
    shown = seen.owners;
    machine.setAttribute("aria-label", `${seen.free} MiB are free`);
    free.textContent = `${seen.free} MiB free`;
    rows.forEach((row, i) => {
      const { has, target, pages } = seen.guests[i];
      row.has.textContent = `has ${has} MiB, target ${target}`;
      row.pages.forEach((page, k) => {
        if (pages[k] !== row.shown[k]) page.className = pages[k] === "#" ? "there" : "";
      });
      row.shown = pages;
      row.mark.style.left = `${(100 * target) / row.maximum}%`;
    });
  }
  const stop = player(model, root, draw);
  let known = model.get("moments").length;
  const unfollow = [
    follow(model, ["targets"], () => rows.forEach((row, i) => {
      row.slider.value = model.get("targets")[guests[i].name];
      row.said.textContent = `target ${row.slider.value} MiB`;
    })),
    follow(model, ["moments"], () => {
      const play = root.querySelector(".play"), moments = model.get("moments").length;
      if (moments > known && calm()) root.querySelector('[aria-label="Last moment"]').click();
      else if (moments > known && play.textContent === "Play") play.click();
      known = moments;
    }),
  ];
  return () => { stop(); unfollow.forEach((undo) => undo()); };
}

export default { render };
