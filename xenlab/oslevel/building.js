function render({ model, el }) {
  const rows = model.get("rows"), views = model.get("views"), names = model.get("names"), simulated = model.get("simulated");
  const chips = names.map((name) => h("span", { class: "chip" }, name));
  const body = h("tbody", {});
  const root = h("div", { class: "xl xl-building", tabindex: 0, "aria-label": "A container is built, step by step" },
    h("div", { class: "chips" }, ...chips),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", {}),
      h("th", { scope: "col" }, "on the host"), h("th", { scope: "col" }, "in the container, so far"))), body));
  el.append(root);
  return player(model, root, (moment) => {
    chips.forEach((chip, i) => {
      chip.classList.toggle("done", i < moment);
      chip.classList.toggle("model", i < moment && simulated[i + 1]);
      chip.textContent = names[i] + (i < moment ? (simulated[i + 1] ? " (simulated)" : " ✓") : "");
    });
    body.replaceChildren(...rows.map((name, r) => {
      const before = moment ? views[moment - 1][r] : views[0][r], now = views[moment][r];
      return h("tr", { class: before !== now ? "changed" : "" },
        h("th", { scope: "row" }, name), h("td", {}, views[0][r]), h("td", {}, now));
    }));
  });
}

export default { render };
