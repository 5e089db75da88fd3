function render({ model, el }) {
  const code = model.get("code"), moments = model.get("moments");
  const rows = code.map((line) => h("div", { class: "line" }, line));
  const list = h("div", { class: "code", role: "group", tabindex: 0, "aria-label": "Bytecode" }, ...rows);
  const stack = h("div", { class: "stack" }), variables = h("div", { class: "variables" }), output = h("code", {});
  const root = h("div", { class: "xl xl-stackvm", tabindex: 0, "aria-label": "A stack machine, step by step" },
    h("div", { class: "thirds" },
      h("div", {}, h("h3", {}, "The program"), h("pre", {}, model.get("text"))),
      h("div", {}, h("h3", {}, "Its bytecode"), list),
      h("div", {}, h("h3", {}, "The machine"),
        h("p", { class: "soft" }, "stack, the top first"), stack,
        h("p", { class: "soft" }, "variables"), variables,
        h("p", { class: "soft" }, "printed"), output)));
  el.append(root);
  return player(model, root, (moment) => {
    const now = moments[moment];
    rows.forEach((row, i) => row.classList.toggle("now", i === now.at));
    const row = rows[now.at];
    list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 2;
    stack.replaceChildren(...(now.stack.length
      ? [...now.stack].reverse().map((value) => h("code", { class: "cell" }, value))
      : [h("span", { class: "soft" }, "empty")]));
    variables.replaceChildren(...Object.entries(now.variables).map(([name, value]) =>
      h("code", { class: "cell" }, `${name} = ${value}`)));
    output.textContent = now.output.join(" ") || "–";
  });
}

export default { render };
