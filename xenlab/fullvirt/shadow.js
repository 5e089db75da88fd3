function render({ model, el }) {
  const steps = model.get("steps");
  const body = h("tbody");
  const head = ["Page of the task", "The guest’s table says", "That frame really is", "The shadow says"];
  const root = h("div", { class: "xl xl-shadow", tabindex: 0, "aria-label": "The guest's page table and its shadow" },
    h("table", {}, h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))), body),
    h("p", { class: "soft" }, "P present · W writable · U for tasks. The processor sees the last column only."));
  el.append(root);
  const empty = { what: "", page: -1, rows: steps[0].rows.map((row) => ({ ...row, guest: "–", real: "–", shadow: "–" })) };
  const lit = { fault: "page", write: "guest", fill: "shadow" };
  return player(model, root, (moment) => {
    const step = steps[moment - 1] || empty;
    body.replaceChildren(...step.rows.map((row, number) => h("tr", { class: number === step.page ? "now" : "" },
      ...["page", "guest", "real", "shadow"].map((column) => h("td",
        { class: number === step.page && lit[step.what] === column ? `${column} lit` : column }, row[column])))));
  });
}

export default { render };
