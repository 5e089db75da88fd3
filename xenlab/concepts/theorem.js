function render({ model, el }) {
  const body = h("tbody"), verdict = h("p", { class: "verdict", role: "status" });
  el.append(h("div", { class: "xl xl-theorem" },
    h("table", {}, h("thead", {}, h("tr", {}, ...["Instruction", "What it does", "Traps for a user", "Class"].map((name) =>
      h("th", { scope: "col" }, name)))), body), verdict));
  const boxes = model.get("rows").map((row) => {
    const box = h("input", { type: "checkbox", "aria-label": `${row.name} traps for a user`, onchange: () => {
      const on = new Set(model.get("traps"));
      if (box.checked) on.add(row.name); else on.delete(row.name);
      model.set("traps", [...on]);
      model.save_changes();
    } });
    const kind = h("td"), line = h("tr", {}, h("th", { scope: "row" }, h("code", {}, row.name), h("span", { class: "soft" }, row.like)),
      h("td", {}, row.what), h("td", { class: "box" }, box), kind);
    body.append(line);
    return [box, kind, line, row.name];
  });
  return follow(model, ["traps", "classes", "verdict"], () => {
    const classes = model.get("classes");
    for (const [box, kind, line, name] of boxes) {
      box.checked = model.get("traps").includes(name);
      kind.textContent = classes[name].words;
      line.classList.toggle("offender", classes[name].offends);
    }
    verdict.innerHTML = model.get("verdict");
  });
}

export default { render };
