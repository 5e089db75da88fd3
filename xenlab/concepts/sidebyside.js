function render({ model, el }) {
  const steps = model.get("steps");
  const list = (title) => { const body = h("tbody"); return [h("div", {}, h("h3", {}, title), h("table", {}, body)), body]; };
  const [left, bare] = list("On a machine of its own"), [right, under] = list("Under a monitor");
  const root = h("div", { class: "xl xl-sides", tabindex: 0, "aria-label": "A guest alone and under a monitor" },
    h("div", { class: "halves" }, left, right));
  el.append(root);
  const row = (step, side, done, now) => h("tr", { class: now ? "now" : done ? "" : "ahead" },
    h("td", {}, h("code", {}, `${step.instruction} ${step.operand}`),
      side === "under" && done && step.trapped ? h("span", { class: "trap" }, "traps") : null),
    h("td", { class: step.differs && side === "under" ? "wrong" : "" }, done ? step[side] : ""));
  return player(model, root, (moment) => {
    for (const [body, side] of [[bare, "bare"], [under, "under"]])
      body.replaceChildren(...steps.map((step, i) => row(step, side, i < moment, i === moment - 1)));
  });
}

export default { render };
