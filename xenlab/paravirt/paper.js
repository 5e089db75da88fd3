function render({ model, el }) {
  const exhibits = model.get("exhibits");
  const tabs = exhibits.map((one, i) =>
    h("button", { role: "tab", onclick: () => { model.set("chosen", i); model.save_changes(); } }, one.number));
  const title = h("h3"), body = h("div", { class: "rows" });
  el.append(h("div", { class: "xl xl-paper" }, h("div", { class: "tabs", role: "tablist" }, ...tabs), title, body,
    h("p", { class: "soft" }, "A full bar is what Linux alone does; longer is better. Numbers as printed in the paper.")));
  return follow(model, ["chosen"], () => {
    const i = model.get("chosen"), one = exhibits[i];
    tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === i));
      tab.classList.toggle("main", k === i);
    });
    title.textContent = `${one.number}: ${one.title}`;
    const most = Math.max(...one.rows.flatMap((row) => row.bars.map((bar) => bar.share)));
    body.replaceChildren(...one.rows.map((row) => h("div", { class: "row" },
      h("div", { class: "what" }, row.what),
      h("div", { class: "bars" }, ...row.bars.map((bar) => h("div", { class: "bar" },
        h("span", { class: "name" }, bar.system),
        h("span", { class: "track" }, h("span", { class: `fill ${bar.system.toLowerCase()}`, style: `width: ${100 * bar.share / most}%` })),
        h("span", { class: "value" }, `${bar.value} ${row.unit}`)))))));
  });
}

export default { render };
