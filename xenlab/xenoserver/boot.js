function render({ model, el }) {
  const names = model.get("names"), lines = model.get("lines");
  const go = (i) => { model.set("moment", i); model.save_changes(); };
  const tabs = names.map((name, i) => h("button", { onclick: () => go(i) }, name));
  const rows = lines.map((line) => h("div", { class: "line" }, line.text || " "));
  const log = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": "Xen's log" }, ...rows);
  const root = h("div", { class: "xl xl-boot", tabindex: 0, "aria-label": "How Xen starts" },
    h("div", { class: "halves" }, h("div", { class: "stages" }, ...tabs), log),
    h("p", { class: "soft" }, `From the ${model.get("source_of")}. Memory when dom0 takes over:`),
    h("div", { html: model.get("memory") }));
  el.append(root);
  return player(model, root, (moment) => {
    tabs.forEach((tab, i) => {
      tab.classList.toggle("main", i === moment);
      tab.setAttribute("aria-pressed", String(i === moment));
    });
    rows.forEach((row, i) => row.classList.toggle("now", lines[i].stage === moment));
    const first = rows.find((_, i) => lines[i].stage === moment);
    if (first) log.scrollTop = first.offsetTop - log.offsetTop - 30;
  });
}

export default { render };
