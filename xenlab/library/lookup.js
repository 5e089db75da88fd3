function render({ model, el }) {
  const symbol = model.get("symbol"), rows = model.get("rows");
  const body = h("div", {});
  const root = h("div", { class: "xl xl-lookup", tabindex: 0, "aria-label": "A name is sought among libraries" }, body);
  el.append(root);
  const box = (row, name, i, seen) => {
    const asked = i < seen, answers = asked && row.found && i === row.last - 1;
    const says = answers ? `answers ${symbol}` : asked ? `no ${symbol}` : seen === row.last ? "not asked" : "";
    return [i ? h("span", { class: "arrow", "aria-hidden": "true" }, "→") : null,
      h("div", { class: `object ${answers ? "answers" : asked ? "asked" : ""}` },
        h("code", {}, name), h("span", { class: "soft" }, says || " "))];
  };
  return player(model, root, (moment) => {
    const seen = model.get("looked")[moment];
    body.replaceChildren(...rows.map((row, r) => h("div", {},
      h("h3", {}, row.title),
      h("div", { class: "chain" }, ...row.order.flatMap((name, i) => box(row, name, i, seen[r]))))));
  });
}

export default { render };
