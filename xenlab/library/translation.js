function render({ model, el }) {
  const calls = model.get("calls");
  const body = h("tbody", {});
  const root = h("div", { class: "xl xl-translation", tabindex: 0, "aria-label": "A foreign program's calls, translated" },
    h("table", {}, h("thead", {}, h("tr", {},
      h("th", { scope: "col" }, "the foreign program calls"), h("th", { scope: "col" }, "the layer does"))), body));
  el.append(root);
  return player(model, root, (moment) => body.replaceChildren(...calls.map((each, i) =>
    h("tr", { class: i === moment - 1 ? "now" : i < moment ? "" : "ahead" },
      h("td", {}, h("code", {}, each.call)), h("td", {}, i < moment ? h("code", {}, each.done) : "")))));
}

export default { render };
