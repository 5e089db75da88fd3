function render({ model, el }) {
  const rows = model.get("rows");
  const body = h("tbody");
  const root = h("div", { class: "xl xl-talk", tabindex: 0, "aria-label": "A guest's kernel and Xen" },
    h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "the guest's kernel"), h("th", {}, "the answer"))), body),
    h("p", { class: "soft" }, `These are ${model.get("source_of")}.`));
  el.append(root);
  return player(model, root, (moment) => {
    body.replaceChildren(...rows.map((row, i) => h("tr", { class: i === moment - 1 ? "now" : i < moment ? "" : "ahead" },
      h("td", {}, row.what),
      h("td", {}, i < moment ? h("span", { class: `answer ${row.kind}` }, row.answer) : ""))));
  });
}

export default { render };
